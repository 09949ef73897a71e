// Weights and neighbours of an interpolated point along one axis. `Real` and `Int` are float and int, or vectors.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

// Cubic B-spline weights of the coefficients at i - 1, i, i + 1, i + 2 for a point at i + t, 0 <= t <= 1.
// Unser, Aldroubi, Eden: B-spline signal processing, IEEE Trans. Signal Processing 41 (1993).
template <class Real>
MMREG_INLINE void cubic_weights(Real t, Real w[4]) {
  const Real s = 1.0f - t;
  w[0] = s * s * s * (1.0f / 6.0f);
  w[1] = 2.0f / 3.0f - t * t * (1.0f - 0.5f * t);
  w[3] = t * t * t * (1.0f / 6.0f);
  w[2] = 1.0f - w[0] - w[1] - w[3];
}

// Returns the cubic B-spline at distance d >= 0 from the coefficient.
template <class Real>
MMREG_INLINE Real cubic_weight(Real d) {
  const Real zero = Real{}, far = 2.0f - d, reach = far > zero ? far : zero;
  const Real inner = 2.0f / 3.0f - d * d * (1.0f - 0.5f * d), outer = reach * reach * reach * (1.0f / 6.0f);
  return d < Real{} + 1.0f ? inner : outer;
}

// Mirrors an index i in [-n, 2n - 2] about the centres of the border voxels, as the prefilter assumes.
template <class Int>
MMREG_INLINE Int mirror(Int i, int n) {
  const Int zero = Int{}, last = zero + (n - 1);
  i = i < zero ? -i : i;
  i = i > last ? 2 * (n - 1) - i : i;
  i = i < zero ? zero : i;  // n = 1 or 2
  return i > last ? last : i;
}

}  // namespace mmreg::MMREG_TARGET
