// MIND-SSC, the self-similarity context of Heinrich et al., MICCAI 2013: similarities from twelve distances between
// patches around the six neighbours of a voxel.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

// Channel c compares the patches at p + d (step + base) and p + d base: it is the patch mean of D_step at p + d base,
// where D_v(q) = (I(q + d v) - I(q))^2. Each of the six steps serves two channels. The channels have the order of
// convexAdam's MINDSSC and of the author's program.
struct Pair {
  int step;     // index into kMindSteps
  int base[3];  // z, y, x
};
constexpr int kMindChannels = 12, kMindStepCount = 6;
constexpr int kMindSteps[kMindStepCount][3] = {{1, 1, 0}, {1, -1, 0}, {1, 0, 1}, {1, 0, -1}, {0, 1, 1}, {0, 1, -1}};
constexpr Pair kMindPairs[kMindChannels] = {
    {0, {0, -1, 0}}, {0, {-1, 0, 0}}, {1, {-1, 0, 0}}, {1, {0, 1, 0}},  {5, {0, -1, 0}}, {5, {0, 0, 1}},
    {3, {-1, 0, 0}}, {3, {0, 0, 1}},  {4, {0, 0, -1}}, {4, {0, -1, 0}}, {2, {0, 0, -1}}, {2, {-1, 0, 0}},
};

constexpr int kMaxMindRadius = 8;

// Offsets at which the two channels of a step read its patch sums: d low to d high from the voxel along each axis.
struct Shifts {
  int channel[2], low[3], high[3];
};

constexpr Shifts shifts_of(int step) {
  Shifts s{};
  int count = 0;
  for (int c = 0; c < kMindChannels; ++c) {
    if (kMindPairs[c].step != step) continue;
    for (int a = 0; a < 3; ++a) {
      const int base = kMindPairs[c].base[a];
      s.low[a] = count && s.low[a] < base ? s.low[a] : base;
      s.high[a] = count && s.high[a] > base ? s.high[a] : base;
    }
    s.channel[count++] = c;
  }
  return s;
}

struct Patch {
  int radius, dilation;

  MMREG_INLINE int reach() const { return radius + dilation; }  // voxels within this reach affect a distance
};

template <class Real>
MMREG_INLINE Real lesser(Real a, Real b) {
  return a < b ? a : b;
}

// Subtracts the least of the twelve distances from all of them and returns their mean, the local variance. Four chains
// of three instead of one chain of twelve, for instruction-level parallelism.
template <class Real>
MMREG_INLINE Real contrast(Real distance[kMindChannels]) {
  Real least[4], sum[4];
  for (int i = 0; i < 4; ++i) least[i] = lesser(lesser(distance[i], distance[i + 4]), distance[i + 8]);
  least[0] = lesser(lesser(least[0], least[1]), lesser(least[2], least[3]));
  for (int c = 0; c < kMindChannels; ++c) distance[c] -= least[0];
  for (int i = 0; i < 4; ++i) sum[i] = distance[i] + distance[i + 4] + distance[i + 8];
  return (sum[0] + sum[1] + (sum[2] + sum[3])) * (1.0f / kMindChannels);
}

// Returns the factor for which exp(-distance / variance) = 2^(distance * factor): -log2(e) / variance, with the
// variance clamped to [0.001, 1000] times its mean over the image; 0 if the image is constant, NaN if the variance or
// the mean is not finite.
template <class Real>
MMREG_INLINE Real decay_factor(Real variance, float mean) {
  const Real unknown = (variance - variance) + (mean - mean);  // 0, or NaN
  const Real low = Real{} + 1e-3f * mean, high = Real{} + 1e3f * mean;
  const Real raised = variance < low ? low : variance, clamped = (raised > high ? high : raised) + unknown;
  return clamped == Real{} ? Real{} : -1.44269504f / clamped;
}

}  // namespace mmreg::MMREG_TARGET
