// Mean variance of MIND over a fixed lattice: every eighth row of every eighth plane, including the middle ones. It
// only limits the variance, and is needed before the first feature; it stays on the device.
#pragma once
#include <utility>

#include "core/border.h"
#include "core/mind.h"
#include "cuda/reduce.h"

namespace mmreg::MMREG_TARGET {

struct Lattice {
  int z0, y0, planes, rows, across;  // across: blocks along a row

  explicit Lattice(Extent n) : z0((n.d - 1) / 2 % 8), y0((n.h - 1) / 2 % 8) {
    planes = (n.d - z0 + 7) / 8;
    rows = (n.h - y0 + 7) / 8;
    across = (n.w + kBlockThreads - 1) / kBlockThreads;
  }
  std::int64_t blocks() const { return std::int64_t(planes) * rows * across; }
};

struct PartOfRow {  // voxels x .. x + kBlockThreads of row (z, y), with the border of their patches
  const float* image;
  Extent n;
  Patch patch;
  int z, y, x;
  float* lines;  // one line of sums per channel

  MMREG_INLINE int length() const { return kBlockThreads + 2 * patch.radius; }

  // lines[Channel][i] = sum of the squared difference over z and y of the patch.
  template <int Channel>
  MMREG_INLINE void sum_columns(int t) const {
    constexpr Pair pair = kMindPairs[Channel];
    constexpr int step_z = kMindSteps[pair.step][0], step_y = kMindSteps[pair.step][1],
                  step_x = kMindSteps[pair.step][2];
    constexpr int base_z = pair.base[0], base_y = pair.base[1], base_x = pair.base[2];
    const int r = patch.radius, d = patch.dilation;
    for (int i = t; i < length(); i += kBlockThreads) {
      const int x0 = x - r + i + d * base_x;
      const int here = inside(x0, n.w), other = inside(x0 + d * step_x, n.w);
      float sum = 0;
      for (int k = z - r + d * base_z; k <= z + r + d * base_z; ++k)
        for (int j = y - r + d * base_y; j <= y + r + d * base_y; ++j) {
          const float difference = row(k + d * step_z, j + d * step_y)[other] - row(k, j)[here];
          sum += difference * difference;
        }
      lines[Channel * length() + i] = sum;
    }
  }
  MMREG_INLINE const float* row(int k, int j) const {
    return image + (std::int64_t(inside(k, n.d)) * n.h + inside(j, n.h)) * n.w;
  }

  template <int... Channels>
  MMREG_INLINE void sum_all_columns(int t, std::integer_sequence<int, Channels...>) const {
    (sum_columns<Channels>(t), ...);
  }

  MMREG_INLINE float variance(int t) const {
    float distances[kMindChannels] = {};
    for (int c = 0; c < kMindChannels; ++c)
      for (int k = 0; k <= 2 * patch.radius; ++k) distances[c] += lines[c * length() + t + k];
    return contrast(distances);
  }
};

// *total = the sum of the variance over the lattice.
inline void lattice_variance(Queue& queue, Image image, Patch patch, const Lattice& grid, double* total) {
  const Lattice lattice = grid;
  const Scratch<double> memory(queue, lattice.blocks());
  double* const partial = memory.data();
  const int bytes =
      kBlockThreads * int(sizeof(double)) + kMindChannels * (kBlockThreads + 2 * patch.radius) * int(sizeof(float));
  for_blocks(queue, lattice.blocks(), bytes, [=] MMREG_DEVICE(const Block& block) {
    const int line = block.index / lattice.across, plane = line / lattice.rows;
    double* const values = reinterpret_cast<double*>(block.memory);
    const PartOfRow part{image.data,
                         image.n,
                         patch,
                         lattice.z0 + 8 * plane,
                         lattice.y0 + 8 * (line - plane * lattice.rows),
                         (block.index - line * lattice.across) * kBlockThreads,
                         reinterpret_cast<float*>(values + kBlockThreads)};
    block.threads([&](int t) { part.sum_all_columns(t, std::make_integer_sequence<int, kMindChannels>{}); });
    block.threads([&](int t) { values[t] = part.x + t < part.n.w ? double(part.variance(t)) : 0; });
    fold_block(block, values, [](double a, double b) { return a + b; });
    block.threads([&](int t) {
      if (t == 0) partial[block.index] = values[0];
    });
  });
  fold_on_device(
      queue, lattice.blocks(), 0.0, Stored<double>{partial}, [=] MMREG_DEVICE(double a, double b) { return a + b; },
      total);
}

}  // namespace mmreg::MMREG_TARGET
