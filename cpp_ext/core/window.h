// The cubic B-spline window that spreads a sample over four histogram bins, and its derivative (Thevenaz and Unser,
// "Optimization of mutual information for multiresolution image registration", 2000).
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct WindowPlace {
  int first;  // first of four bins
  float t;    // position between the second and the third
};

// Returns the bins of an intensity in [0, 1]. The outermost of `bins` bins on each side take only tails of the window.
MMREG_INLINE WindowPlace window_place(float intensity, int bins) {
  const float x = 1.0f + intensity * float(bins - 3);
  int floor = int(x);
  floor = floor > 1 ? (floor < bins - 3 ? floor : bins - 3) : 1;
  return {floor - 1, x - float(floor)};
}

MMREG_INLINE void window_weights(float t, float w[4]) {
  const float r = 1 - t;
  w[0] = r * r * r * (1.0f / 6);
  w[3] = t * t * t * (1.0f / 6);
  w[1] = (2.0f / 3) - t * t * (1 - 0.5f * t);
  w[2] = (2.0f / 3) - r * r * (1 - 0.5f * r);
}

MMREG_INLINE void window_slopes(float t, float w[4]) {  // derivative with respect to the position in bins
  const float r = 1 - t;
  w[0] = -0.5f * r * r;
  w[3] = 0.5f * t * t;
  w[1] = t * (1.5f * t - 2);
  w[2] = r * (2 - 1.5f * r);
}

MMREG_INLINE int nearest_bin(float intensity, int bins) {  // NaN falls into the first
  const float inside = intensity > 0 ? (intensity < 1 ? intensity : 1.0f) : 0.0f;
  return int(inside * float(bins - 1) + 0.5f);
}

// Replaces NaN and infinity by 0, for samples of weight 0. `Real` is a float or a vector of samples.
template <class Real>
MMREG_INLINE Real number_or_zero(Real v) {
  return v - v == Real{} ? v : Real{};
}

MMREG_INLINE float share(float fixed) {
  return fixed - fixed == 0 ? 1.0f : 0.0f;
}  // weight of a sample: 1 if its value is finite

// Returns the index of the first of a sample's four bins in the joint histogram.
MMREG_INLINE int joint_bin(float fixed, const WindowPlace& moving, int bins) {
  return nearest_bin(fixed, bins) * bins + moving.first;
}

// Returns the derivative of a function of the histogram with respect to a sample. `gain` is the derivative with respect
// to the four bins, w0 .. w3 are the window or its derivative.
MMREG_INLINE float by_window(const float* gain, float w0, float w1, float w2, float w3) {
  return gain[0] * w0 + gain[1] * w1 + gain[2] * w2 + gain[3] * w3;
}

// Returns the derivative with respect to the position of a sample along one axis: through its intensity in bins,
// weighted by the cover, and through the cover itself. `Real` is a float or a vector of samples.
template <class Real>
MMREG_INLINE Real by_place(Real rise, Real slope, Real level, Real fade) {
  return rise * slope + level * fade;
}
MMREG_INLINE float covered_slope(float slope, float cover, int bins) { return slope * cover * float(bins - 3); }

}  // namespace mmreg::MMREG_TARGET
