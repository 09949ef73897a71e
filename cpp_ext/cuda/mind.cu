// MIND-SSC features of the image extended by its border value. A block computes a tile.
#include "cuda/lane.h"
#include "cuda/mind_lattice.h"
#include "cuda/mind_tile.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

typedef std::make_integer_sequence<int, kMindStepCount> Steps;

// Destination of the features, selected at run time: separate kernels for each radius would double the compile time.
struct Features {
  float* planes;   // (12, d, h, w), or nullptr
  Half* channels;  // (d, h, w, 16)
  std::int64_t size;

  MMREG_INLINE void write(std::int64_t at, const float (&v)[kMindChannels]) const {
    if (planes) {
      for (int c = 0; c < kMindChannels; ++c) planes[c * size + at] = v[c];
    } else {
      const float first[8] = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
      const float last[8] = {v[8], v[9], v[10], v[11], 0, 0, 0, 0};
      store_eight(channels + 16 * at, first);
      store_eight(channels + 16 * at + 8, last);
    }
  }
};

// Limited to 2^-125.5, so that a similarity is never 0, as on the CPU. NaN is preserved.
MMREG_INLINE void turn_to_similarities(float (&distance)[kMindChannels], float mean) {
  const float factor = decay_factor(contrast(distance), mean);
  for (int c = 0; c < kMindChannels; ++c) distance[c] = exp2f(max(-125.5f, distance[c] * factor));
}

template <int R>
void features_of(Queue& queue, Image image, Patch patch, const double* total, double lattice_size, const Features& to) {
  const Extent n = image.n;
  const Features out = to;
  const int across = (n.w + kTileColumns - 1) / kTileColumns, down = (n.h + kTileRows - 1) / kTileRows;
  const std::int64_t deep = (n.d + kTilePlanes - 1) / kTilePlanes;
  for_blocks<2>(queue, deep * down * across, tile_bytes(patch, Steps{}), [=] MMREG_DEVICE(const Block& block) {
    const int line = block.index / across, plane = line / down;
    const Tile<R> tile{image.data,
                       n,
                       patch,
                       plane * kTilePlanes,
                       (line - plane * down) * kTileRows,
                       (block.index - line * across) * kTileColumns,
                       reinterpret_cast<float*>(block.memory)};
    OfThread<Distances> distances;
    tile.add_steps(block, distances, Steps{});
    const float mean = float(*total / lattice_size);
    block.threads([&](int t) {
      const int y = tile.y + t / kTileColumns, x = tile.x + t % kTileColumns;
      if (y >= n.h || x >= n.w) return;
      for (int k = 0; k < kTilePlanes; ++k) {
        if (tile.z + k >= n.d) return;
        turn_to_similarities(distances[t].of[k], mean);
        out.write((std::int64_t(tile.z + k) * n.h + y) * n.w + x, distances[t].of[k]);
      }
    });
  });
}

void features(Queue& queue, Image image, Patch patch, const Features& out) {
  const Scratch<double> total(queue, 1);
  const Lattice lattice(image.n);
  lattice_variance(queue, image, patch, lattice, total.data());
  const double size = double(lattice.planes) * lattice.rows * image.n.w;
  if (patch.radius == 0) return features_of<0>(queue, image, patch, total.data(), size, out);
  if (patch.radius == 1) return features_of<1>(queue, image, patch, total.data(), size, out);
  if (patch.radius == 2) return features_of<2>(queue, image, patch, total.data(), size, out);
  if (patch.radius == 3) return features_of<3>(queue, image, patch, total.data(), size, out);
  features_of<-1>(queue, image, patch, total.data(), size, out);
}

}  // namespace

void mind(Queue& queue, Image image, int radius, int dilation, float* out) {
  features(queue, image, {radius, dilation}, {out, nullptr, voxels(image.n)});
}

void mind_half(Queue& queue, Image image, int radius, int dilation, Half* out) {
  features(queue, image, {radius, dilation}, {nullptr, out, voxels(image.n)});
}

}  // namespace mmreg::MMREG_TARGET
