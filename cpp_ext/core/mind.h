// MIND-SSC, the self-similarity context of Heinrich et al., MICCAI 2013: twelve distances between patches
// around the six neighbours of a voxel, turned into similarities.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

// Channel c compares the patches at p + d (step + base) and p + d base: with D_v(q) = (I(q + d v) - I(q))^2, it
// is the patch mean of D_step at p + d base. Two channels share each of the six steps. The order of the
// channels is the one of convexAdam's MINDSSC and of the author's own program.
struct Pair {
  int step;     // index into mind_steps
  int base[3];  // z, y, x
};
constexpr int mind_channels = 12, mind_step_count = 6;
constexpr int mind_steps[mind_step_count][3] = {{1, 1, 0}, {1, -1, 0}, {1, 0, 1}, {1, 0, -1}, {0, 1, 1}, {0, 1, -1}};
constexpr Pair mind_pairs[mind_channels] = {
    {0, {0, -1, 0}}, {0, {-1, 0, 0}}, {1, {-1, 0, 0}}, {1, {0, 1, 0}},  {5, {0, -1, 0}}, {5, {0, 0, 1}},
    {3, {-1, 0, 0}}, {3, {0, 0, 1}},  {4, {0, 0, -1}}, {4, {0, -1, 0}}, {2, {0, 0, -1}}, {2, {-1, 0, 0}},
};

constexpr int max_mind_radius = 8;

struct Patch {
  int radius, dilation;

  int reach() const { return radius + dilation; }  // of the voxels that a distance looks at
};

// Takes the least of the twelve distances off them; returns their mean, the variance of the neighbourhood.
template <class Real>
MMREG_INLINE Real contrast(Real distance[mind_channels]) {
  Real least = distance[0], sum = Real{};
  for (int c = 1; c < mind_channels; ++c) least = distance[c] < least ? distance[c] : least;
  for (int c = 0; c < mind_channels; ++c) sum += distance[c] -= least;
  return sum * (1.0f / mind_channels);
}

// exp(-distance / variance) as 2^(distance * factor): the factor is -log2(e) / variance, with the variance clamped
// to [0.001, 1000] of its mean over the image; 0 where the image is constant.
template <class Real>
MMREG_INLINE Real decay_factor(Real variance, float mean) {
  const Real low = Real{} + 1e-3f * mean, high = Real{} + 1e3f * mean;
  const Real raised = variance > low ? variance : low, clamped = raised < high ? raised : high;
  return clamped > Real{} ? -1.44269504f / clamped : Real{};
}

}  // namespace mmreg::MMREG_TARGET
