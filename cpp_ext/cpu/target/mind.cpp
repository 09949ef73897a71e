// MIND-SSC features of the image extended by its border value. A piece of work is a tile of rows in all planes. The
// patch sums of six difference images are computed once per plane and kept in ring buffers that fit into the cache; the
// twelve distances of a voxel are read from them at their shifts.
#include "core/mind.h"

#include "cpu/target/mind_lattice.h"
#include "cpu/target/power.h"
#include "cpu/target/smoothing.h"
#include "cpu/target/transpose.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kDeepSteps = 4;  // the first four of the six steps are also read `dilation` planes behind

struct Shape {  // a tile of the output, rows [first, first + rows)
  Extent n;
  Patch patch;
  int first, rows;

  int margin() const { return 2 * patch.dilation + patch.radius; }  // border of the image rows
  int image_rows() const { return rows + 2 * margin(); }
  int image_planes() const { return 2 * patch.radius + patch.dilation + 1; }
  int sum_rows() const { return rows + 2 * patch.dilation; }
  std::int64_t stride() const { return whole_vectors(n.w + 2 * margin()) + kLanes; }
  std::int64_t image_size() const { return image_planes() * image_rows() * stride(); }
  std::int64_t sum_planes() const { return kDeepSteps * (patch.dilation + 1) + kMindStepCount - kDeepSteps; }
  std::int64_t size() const { return image_size() + (sum_planes() + 1) * sum_rows() * stride() + 4 * kLanes; }
};

// Ring buffers of a tile. Rows start at first - margin (image) and first - dilation (sums); element 0 is voxel 0.
struct Rings {
  Shape s;
  float* memory;

  static int wrapped(int i, int n) { return (i % n + n) % n; }
  float* image(int z, int y) const {
    const std::int64_t row = wrapped(z, s.image_planes()) * s.image_rows() + y - s.first + s.margin();
    return memory + row * s.stride() + s.margin();
  }
  float* columns(int y) const {  // sums along z and y of the current step
    return memory + s.image_size() + (y - s.first + s.patch.dilation) * s.stride() + s.margin();
  }
  float* sums(int step, int z, int y) const {
    const int depth = s.patch.dilation + 1;
    const int plane = 1 + (step < kDeepSteps ? step * depth + wrapped(z, depth) : kDeepSteps * (depth - 1) + step);
    return columns(y) + plane * s.sum_rows() * s.stride();
  }

  // Copies plane z, which may lie outside the image, into the ring.
  void fetch(const float* volume, int z) const {
    const Extent n = s.n;
    for (int y = s.first - s.margin(); y < s.first + s.rows + s.margin(); ++y) {
      const float* row = volume + (std::int64_t(inside(z, n.d)) * n.h + inside(y, n.h)) * n.w;
      extend_row(row, n.w, s.margin(), image(z, y) - s.margin());
    }
  }
};

// Rows of the sums that the channels read.
struct Range {
  int begin, end;
};

MMREG_INLINE Range rows_read(const Shape& s, int step) {
  const Shifts shifts = shifts_of(step);
  return {s.first + shifts.low[1] * s.patch.dilation, s.first + s.rows + shifts.high[1] * s.patch.dilation};
}

// Sums of the squared difference over the planes z - r .. z + r, for kLanes voxels of row y. R is the radius, or -1 if
// it is only known at run time.
template <int R>
struct Column {
  const float* base[2 * (R < 0 ? kMaxMindRadius : R) + 1];
  std::int64_t shift[2 * (R < 0 ? kMaxMindRadius : R) + 1];
  int r;

  Column(const Rings& rings, int step, int z, int y) : r(R < 0 ? rings.s.patch.radius : R) {
    const int d = rings.s.patch.dilation;
    const int* v = kMindSteps[step];
    for (int k = 0; k <= 2 * r; ++k) {
      base[k] = rings.image(z + k - r, y);
      shift[k] = rings.image(z + k - r + d * v[0], y + d * v[1]) + d * v[2] - base[k];
    }
  }
  MMREG_INLINE Floats sum(std::int64_t at) const {
    const int side = 2 * (R < 0 ? r : R) + 1;
    Floats total{};
    for (int k = 0; k < side; ++k) {
      const Floats difference = load(base[k] + shift[k] + at) - load(base[k] + at);
      total += difference * difference;
    }
    return total;
  }
};

// Sets rings.columns to the sums along z and y of the squared differences of one step. The sums along z of the last
// rows stay in registers while the loop descends a column of vectors.
template <int R>
void sum_columns(const Rings& rings, int step, int z, Range rows) {
  const Shape& s = rings.s;
  const int r = R < 0 ? s.patch.radius : R, reach = s.patch.reach();
  const Column<R> column(rings, step, z, rows.begin - r);
  const std::int64_t stride = s.stride();
  for (int x = -reach; x < s.n.w + reach; x += kLanes) {
    Floats last[2 * (R < 0 ? kMaxMindRadius : R) + 1];
    for (int k = 1; k <= 2 * r; ++k) last[k] = column.sum(x + (k - 1) * stride);
    float* out = rings.columns(rows.begin) + x;
    for (int y = 0; y < rows.end - rows.begin; ++y, out += stride) {
      for (int k = 0; k < 2 * r; ++k) last[k] = last[k + 1];
      last[2 * r] = column.sum(x + (y + 2 * r) * stride);
      Floats total = last[0];
      for (int k = 1; k <= 2 * r; ++k) total += last[k];
      store(out, total);
    }
  }
}

template <int R>
void sum_rows(const Rings& rings, int step, int z, Range rows) {
  const Shape& s = rings.s;
  const int r = R < 0 ? s.patch.radius : R, d = s.patch.dilation;
  for (int y = rows.begin; y < rows.end; ++y) {
    const float* in = rings.columns(y) - r;
    float* out = rings.sums(step, z, y);
    for (int x = -d; x < s.n.w + d; x += kLanes) {
      Floats total = load(in + x);
      for (int k = 1; k <= 2 * r; ++k) total += load(in + x + k);
      store(out + x, total);
    }
  }
}

template <int R>
void sum_plane(const Rings& rings, int steps, int z) {
  for (int step = 0; step < steps; ++step) {
    const Range rows = rows_read(rings.s, step);
    sum_columns<R>(rings, step, z, rows);
    sum_rows<R>(rings, step, z, rows);
  }
}

// Passes the similarities of a row to `write`, kLanes voxels of twelve channels at a time.
template <class Write>
void similarities(const Rings& rings, int z, int y, float mean, Write&& write) {
  const int d = rings.s.patch.dilation, w = rings.s.n.w;
  const float* in[kMindChannels];
  for (int c = 0; c < kMindChannels; ++c) {
    const int* base = kMindPairs[c].base;
    in[c] = rings.sums(kMindPairs[c].step, z + d * base[0], y + d * base[1]) + d * base[2];
  }
  for (int x = 0; x < w; x += kLanes) {
    Floats value[kMindChannels];
    for (int c = 0; c < kMindChannels; ++c) value[c] = load(in[c] + x);
    const Floats factor = decay_factor(contrast(value), mean);
    for (int c = 0; c < kMindChannels; ++c) value[c] = power_of_two(value[c] * factor);
    write(x, w - x < kLanes ? w - x : kLanes, value);
  }
}

template <int R, class Write>
void tile(const Shape& s, const float* image, float mean, float* memory, Write&& write) {
  const Rings rings{s, memory};
  const int r = s.patch.radius, d = s.patch.dilation;
  for (int z = -d - r; z < r; ++z) rings.fetch(image, z);
  for (int z = -d; z < s.n.d; ++z) {
    rings.fetch(image, z + r + d);
    sum_plane<R>(rings, z < 0 ? kDeepSteps : kMindStepCount, z);
    for (int y = s.first; y < s.first + s.rows && z >= 0; ++y)
      similarities(rings, z, y, mean, [&](int x, int count, const Floats* value) {
        write((std::int64_t(z) * s.n.h + y) * s.n.w + x, count, value);
      });
  }
}

template <class Write>
void features(Queue& queue, Image image, Patch patch, Write&& write) {
  const Extent n = image.n;
  const Shape row{n, patch, 0, 1};
  const Tiles tiles = tiles_of(n.h, (row.image_planes() + row.sum_planes() + 1) * row.stride() * int(sizeof(float)));
  const std::int64_t size = Shape{n, patch, 0, tiles.rows}.size();
  const float mean = lattice_variance(queue, image, patch);
  Scratch<float> memory(queue, workers(queue) * size);
  parallel_pieces(queue, tiles.count, [&](std::int64_t i, int worker) {
    const int first = int(i) * tiles.rows;
    const Shape s{n, patch, first, n.h - first < tiles.rows ? n.h - first : tiles.rows};
    float* const m = memory + worker * size;
    switch (patch.radius) {
      case 0:
        return tile<0>(s, image.data, mean, m, write);
      case 1:
        return tile<1>(s, image.data, mean, m, write);
      case 2:
        return tile<2>(s, image.data, mean, m, write);
      default:
        return tile<-1>(s, image.data, mean, m, write);
    }
  });
}

}  // namespace

void mind(Queue& queue, Image image, int radius, int dilation, float* out) {
  features(queue, image, {radius, dilation}, [&](std::int64_t at, int count, const Floats* value) {
    for (int c = 0; c < kMindChannels; ++c) {
      float* const p = out + c * voxels(image.n) + at;
      if (count == kLanes)
        store(p, value[c]);
      else
        store(p, value[c], count);
    }
  });
}

void mind_half(Queue& queue, Image image, int radius, int dilation, Half* out) {
  features(queue, image, {radius, dilation},
           [&](std::int64_t at, int count, const Floats* value) { store_channels(out + 16 * at, value, count); });
}

}  // namespace mmreg::MMREG_TARGET
