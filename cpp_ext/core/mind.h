// MIND-SSC, the self-similarity context of Heinrich et al., MICCAI 2013: twelve distances between patches
// around the six neighbours of a voxel, turned into similarities.
#pragma once
#include "core/half.h"

namespace mmreg::MMREG_TARGET {

// Channel c compares the patches at p + d (step + base) and p + d base: with D_v(q) = (I(q + d v) - I(q))^2, it
// is the patch mean of D_step at p + d base. Two channels share each of the six steps. The order of the
// channels is the one of convexAdam's MINDSSC and of the author's own program.
struct Pair {
  int step;     // index into mind_steps
  int base[3];  // z, y, x
};
constexpr int mind_channels = 12;
constexpr int mind_steps[6][3] = {{1, 1, 0}, {1, -1, 0}, {1, 0, 1}, {1, 0, -1}, {0, 1, 1}, {0, 1, -1}};
constexpr Pair mind_pairs[mind_channels] = {
    {0, {0, -1, 0}}, {0, {-1, 0, 0}}, {1, {-1, 0, 0}}, {1, {0, 1, 0}},  {5, {0, -1, 0}}, {5, {0, 0, 1}},
    {3, {-1, 0, 0}}, {3, {0, 0, 1}},  {4, {0, 0, -1}}, {4, {0, -1, 0}}, {2, {0, 0, -1}}, {2, {-1, 0, 0}},
};

// exp(-x) for x >= 0: 2^k times a polynomial on [-1/2, 1/2], relative error 1e-7 before rounding; never below 2^-126.
MMREG_INLINE float decay(float x) {
  const float t = x < 87.0f ? -1.44269504f * x : -125.5f;
  const float shifted = t + 12582912.0f;  // 1.5 * 2^23: rounds t to an integer in the low bits
  const float f = t - (shifted - 12582912.0f);
  const float p =
      1.0f + f * (0.693147004f + f * (0.240222424f + f * (0.0555073358f + f * (0.00967151299f + f * 0.00132647273f))));
  return float_of(bits_of(p) + (bits_of(shifted) << 23));
}

}  // namespace mmreg::MMREG_TARGET
