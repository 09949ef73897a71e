// Mean variance of MIND over a fixed lattice: every eighth row of every eighth plane, including the middle ones. It
// only limits the variance, and is needed before the first feature.
#pragma once
#include "core/mind.h"
#include "cpu/target/border.h"
#include "cpu/target/operations.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

// The rows around a row, with their border; element 0 is voxel 0 of the row at offset (z, y).
struct Neighbourhood {
  float* data;
  int reach, stride;

  float* row(int z, int y) const {
    return data + ((z + reach) * (2 * reach + 1) + y + reach) * std::int64_t(stride) + reach;
  }
  void fill(const float* image, Extent n, int z, int y) const {
    for (int k = -reach; k <= reach; ++k)
      for (int j = -reach; j <= reach; ++j)
        extend_row(image + (std::int64_t(inside(z + k, n.d)) * n.h + inside(y + j, n.h)) * n.w, n.w, reach,
                   row(k, j) - reach);
  }
};

// line[x + r] = sum of (I(q + d step) - I(q))^2 over z and y of the patch around p + d base.
inline void patch_columns(const Neighbourhood& near, Patch patch, const Pair& pair, int w, float* line) {
  const int r = patch.radius, d = patch.dilation;
  const int* step = kMindSteps[pair.step];
  for (int x = -r; x < w + r; x += kLanes) {
    Floats total{};
    for (int k = -r; k <= r; ++k)
      for (int j = -r; j <= r; ++j) {
        const int z = k + d * pair.base[0], y = j + d * pair.base[1];
        const Floats b = load(near.row(z, y) + x + d * pair.base[2]);
        const Floats a = load(near.row(z + d * step[0], y + d * step[1]) + x + d * (pair.base[2] + step[2]));
        total += (a - b) * (a - b);
      }
    store(line + r + x, total);
  }
}

inline float row_variance(const Neighbourhood& near, Patch patch, int w, float* lines, int stride) {
  for (int c = 0; c < kMindChannels; ++c) patch_columns(near, patch, kMindPairs[c], w, lines + c * stride);
  Floats total{};
  for (int x = 0; x < w; x += kLanes) {
    Floats distances[kMindChannels];
    for (int c = 0; c < kMindChannels; ++c) {
      const float* line = lines + c * stride + x;
      distances[c] = load(line);
      for (int k = 1; k <= 2 * patch.radius; ++k) distances[c] += load(line + k);
    }
    const Floats variance = contrast(distances);
    total += lane_numbers() < splat(w - x) ? variance : Floats{};
  }
  return sum(total);
}

inline float lattice_variance(Queue& queue, Image image, Patch patch) {
  const Extent n = image.n;
  const int z0 = (n.d - 1) / 2 % 8, y0 = (n.h - 1) / 2 % 8;
  const int planes = (n.d - z0 + 7) / 8, rows = (n.h - y0 + 7) / 8, count = planes * rows;
  const int reach = patch.reach(), stride = n.w + 2 * reach + 2 * kLanes;
  const std::int64_t near_size = std::int64_t(2 * reach + 1) * (2 * reach + 1) * stride;
  const std::int64_t size = near_size + kMindChannels * stride;
  Scratch<float> memory(queue, workers(queue) * size), sums(queue, count);
  parallel_pieces(queue, count, [&](std::int64_t i, int worker) {
    const Neighbourhood near{memory + worker * size, reach, stride};
    near.fill(image.data, n, z0 + 8 * int(i / rows), y0 + 8 * int(i % rows));
    sums[i] = row_variance(near, patch, n.w, near.data + near_size, stride);
  });
  double total = 0;
  for (int i = 0; i < count; ++i) total += double(sums[i]);
  return float(total / (double(count) * n.w));
}

}  // namespace mmreg::MMREG_TARGET
