// Means of blocks; a block at the border may be smaller. Rows, planes and blocks are summed hierarchically, so that
// rounding grows with their extents and not with the number of voxels.
#include "core/pooling.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct Pieces {
  BlockSpan z, y, x;

  MMREG_INLINE float share() const { return 1.0f / float(z.length() * y.length() * x.length()); }
};

struct Factor {  // downsampling factor of a grid of extent n
  Extent n;
  int z, y, x;

  MMREG_INLINE Pieces pieces(int k, int j, int i) const {
    return {block_span(k, z, n.d), block_span(j, y, n.h), block_span(i, x, n.w)};
  }
};

struct EightSums {
  float v[8];
};

MMREG_INLINE void add(EightSums& to, const EightSums& sums) {
  for (int c = 0; c < 8; ++c) to.v[c] += sums.v[c];
}

// Computes the means over a block of eight channels from `features`.
MMREG_INLINE EightSums sum_features(const Half* features, int channels, Extent n, const Pieces& p) {
  EightSums total{};
  for (int k = p.z.begin; k < p.z.end; ++k)
    for (int j = p.y.begin; j < p.y.end; ++j) {
      const Half* const row = features + (std::int64_t(k) * n.h + j) * n.w * channels;
      EightSums sums{};
      for (int i = p.x.begin; i < p.x.end; ++i) {
        const Eight values = load_eight(row + std::int64_t(i) * channels);
        for (int c = 0; c < 8; ++c) sums.v[c] += values[c];
      }
      add(total, sums);
    }
  return total;
}

}  // namespace

void pool(Queue& queue, Image image, const int factor[3], float* out) {
  const Extent n = image.n, m = pooled(n, factor);
  const Factor f{n, factor[0], factor[1], factor[2]};
  for_voxels(queue, {image.channels * m.d, m.h, m.w}, [=] MMREG_DEVICE(const Voxel& v) {
    const int channel = v.z / m.d;
    const Pieces p = f.pieces(v.z - channel * m.d, v.y, v.x);
    const float* const volume = image.data + channel * voxels(n);
    float total = 0;
    for (int k = p.z.begin; k < p.z.end; ++k) {
      float plane = 0;
      for (int j = p.y.begin; j < p.y.end; ++j) {
        const float* const row = volume + (std::int64_t(k) * n.h + j) * n.w;
        float sum = 0;
        for (int i = p.x.begin; i < p.x.end; ++i) sum += row[i];
        plane += sum;
      }
      total += plane;
    }
    out[v.index] = total * p.share();
  });
}

// A thread computes eight channels, so that neighbouring threads read contiguous memory.
void pool_features(Queue& queue, FeatureImage features, const int factor[3], Half* out) {
  const Extent n = features.n, m = pooled(n, factor);
  const Factor f{n, factor[0], factor[1], factor[2]};
  const int channels = features.channels, parts = channels / 8;
  for_voxels(queue, {m.d, m.h, m.w * parts}, [=] MMREG_DEVICE(const Voxel& v) {
    const int i = v.x / parts;
    const Pieces p = f.pieces(v.z, v.y, i);
    const EightSums sums = sum_features(features.data + 8 * (v.x - i * parts), channels, n, p);
    const float share = p.share();
    float mean[8];
    for (int c = 0; c < 8; ++c) mean[c] = sums.v[c] * share;
    store_eight(out + 8 * v.index, mean);
  });
}

}  // namespace mmreg::MMREG_TARGET
