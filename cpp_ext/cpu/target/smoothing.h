// The loop of all separable filters. A piece of work is a tile of rows in all planes: each plane is filtered along y
// and x into a ring buffer of planes that fits into the cache, and the ring is filtered along z.
#pragma once
#include "core/taps.h"
#include "cpu/target/border.h"
#include "cpu/target/operations.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

MMREG_INLINE std::int64_t whole_vectors(std::int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

struct Tiles {
  int count, rows;
};

// Returns tiles of equal height whose rows, of `bytes` each, fit into half of a typical second-level cache.
inline Tiles tiles_of(int h, std::int64_t bytes) {
  const std::int64_t fitting = (std::int64_t(3) << 18) / bytes;
  const int most = fitting < 8 ? 8 : fitting > 64 ? 64 : int(fitting);
  const int count = (h + most - 1) / most;
  return {count, (h + count - 1) / count};
}

// Input rows of one channel. An in-place filter overwrites rows of other tiles; it reads these from a copy of the rows
// around the borders between tiles.
struct Rows {
  const float* image;
  const float* kept;  // (d, borders, 2 radius, w); nullptr unless in place
  Extent n;
  Tiles tiles;
  int radius;

  const float* at(int z, int y, int tile) const {
    const int row = inside(y, n.h), first = tile * tiles.rows;
    if (kept && row < first) return border(z, tile - 1, row - first + radius);
    if (kept && row >= first + tiles.rows) return border(z, tile, row - first - tiles.rows + radius);
    return image + (std::int64_t(z) * n.h + row) * n.w;
  }
  const float* border(int z, int i, int row) const {
    return kept + ((std::int64_t(z) * (tiles.count - 1) + i) * 2 * radius + row) * n.w;
  }
};

inline void keep_borders(Queue& queue, Image image, Tiles tiles, int radius, float* kept) {
  const Extent n = image.n;
  const std::int64_t rows = std::int64_t(tiles.count - 1) * 2 * radius;
  parallel(queue, std::int64_t(image.channels) * n.d, 1, [&](std::int64_t plane, std::int64_t) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const int border = (int(i / (2 * radius)) + 1) * tiles.rows;
      const float* row = image.data + (plane * n.h + inside(border - radius + int(i % (2 * radius)), n.h)) * n.w;
      std::memcpy(kept + (plane * rows + i) * n.w, row, std::size_t(n.w) * sizeof(float));
    }
  });
}

// Filter has
//   radius[3], and step: the number of planes it computes at once
//   plane(rows, count, w, line, out, stride): filters a plane along y and x. rows[0 .. count + 2 radius[1]) are its
//     rows with the border, line is scratch memory for a row with its border
//   depth(planes, w, stride of out, out, count): filters along z. planes[0 .. 2 radius[0] + step) are rows of the
//     ring; only the first `count` of the `step` rows of out exist
template <class Filter>
void smooth_tile(const Filter& filter, const Rows& rows, int tile, float* memory, float* out) {
  const Extent n = rows.n;
  const int r = filter.radius[0], step = Filter::step, depth = 2 * r + step;
  const int first = tile * rows.tiles.rows;
  const int count = first + rows.tiles.rows < n.h ? rows.tiles.rows : n.h - first;
  const std::int64_t stride = whole_vectors(n.w), plane = count * stride, size = std::int64_t(n.h) * n.w;
  float* line = memory + depth * rows.tiles.rows * stride;
  const float* pointers[64 + 2 * kMaxRadius];
  int ready = 0;  // number of planes computed so far
  for (int z = 0; z < n.d; z += step) {
    for (const int end = z + r + step < n.d ? z + r + step : n.d; ready < end; ++ready) {
      for (int y = 0; y < count + 2 * filter.radius[1]; ++y)
        pointers[y] = rows.at(ready, first + y - filter.radius[1], tile);
      filter.plane(pointers, count, n.w, line, memory + ready % depth * plane, stride);
    }
    for (int k = 0; k < depth; ++k) pointers[k] = memory + inside(z - r + k, n.d) % depth * plane;
    for (int y = 0; y < count; ++y) {
      filter.depth(pointers, n.w, size, out + z * size + std::int64_t(first + y) * n.w,
                   n.d - z < step ? n.d - z : step);
      for (int k = 0; k < depth; ++k) pointers[k] += stride;
    }
  }
}

template <class Filter>
void smooth(Queue& queue, const Filter& filter, Image image, float* out) {
  const Extent n = image.n;
  const bool in_place = image.data == out;
  const std::int64_t stride = whole_vectors(n.w), depth = 2 * filter.radius[0] + Filter::step;
  const Tiles tiles = tiles_of(n.h, depth * stride * std::int64_t(sizeof(float)));
  const std::int64_t size = depth * tiles.rows * stride + stride + 2 * whole_vectors(filter.radius[2]) + 8 * kLanes;
  const std::int64_t borders = std::int64_t(n.d) * (tiles.count - 1) * 2 * filter.radius[1] * n.w;
  Scratch<float> memory(queue, workers(queue) * size), kept(queue, in_place ? image.channels * borders : 0);
  if (in_place && borders) keep_borders(queue, image, tiles, filter.radius[1], kept);
  parallel_pieces(queue, std::int64_t(image.channels) * tiles.count, [&](std::int64_t i, int worker) {
    const std::int64_t c = i / tiles.count;
    const Rows rows{image.data + c * voxels(n), in_place ? kept + c * borders : nullptr, n, tiles, filter.radius[1]};
    smooth_tile(filter, rows, int(i % tiles.count), memory + worker * size, out + c * voxels(n));
  });
}

}  // namespace mmreg::MMREG_TARGET
