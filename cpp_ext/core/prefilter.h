// Cubic B-spline coefficients of a line, mirrored about its ends: a causal and an anticausal recursion. `Real` is a
// float, or as many lines side by side as a vector holds. Unser, Aldroubi, Eden: B-spline signal processing, IEEE
// Trans. Signal Processing 41 (1993), box 2.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

constexpr float pole = -0.26794919243112270647f;  // sqrt(3) - 2
constexpr float gain = 6.0f;                      // (1 - pole) (1 - 1 / pole)
constexpr int horizon = 16;                       // |pole|^16 < 1e-9

// Start of the causal recursion over the mirrored line.
template <class Real, class Get>
MMREG_INLINE Real first(int n, Get get) {
  const int period = 2 * (n - 1);
  Real sum = gain * get(0);
  float power = gain * pole;
  for (int i = 1; i < horizon; ++i, power *= pole) {
    const int k = i % period;
    sum += power * get(k < n ? k : period - k);
  }
  return sum;
}

// Start of the anticausal recursion, from the last two values of the causal one.
template <class Real>
MMREG_INLINE Real last(Real end, Real before) {
  return (pole / (pole * pole - 1.0f)) * (end + pole * before);
}

// In place along a line, or along as many lines side by side as a Real holds.
template <class Real, class Get, class Set>
MMREG_INLINE void filter(int n, Get get, Set set) {
  if (n == 1) return;
  Real c = first<Real>(n, get), before = c;
  set(0, c);
  for (int i = 1; i < n; ++i) before = c, set(i, c = gain * get(i) + pole * c);
  set(n - 1, c = last(c, before));
  for (int i = n - 2; i >= 0; --i) set(i, c = pole * (c - get(i)));
}

}  // namespace mmreg::MMREG_TARGET
