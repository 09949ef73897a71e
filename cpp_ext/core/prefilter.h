// Cubic B-spline coefficients of a line with mirrored ends, by a causal and an anticausal recursion. `Real` is a float
// or a vector of adjacent lines. Unser, Aldroubi, Eden: B-spline signal processing, IEEE Trans. Signal Processing 41
// (1993), box 2.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

constexpr float kPole = -0.26794919243112270647f;  // sqrt(3) - 2
constexpr float kGain = 6.0f;                      // (1 - kPole) (1 - 1 / kPole)
constexpr int kHorizon = 16;                       // |kPole|^16 < 1e-9

// Returns the initial value of the causal recursion over the mirrored line.
template <class Real, class Get>
MMREG_INLINE Real first(int n, Get get) {
  const int period = 2 * (n - 1);
  Real sum = kGain * get(0);
  float power = kGain * kPole;
  for (int i = 1; i < kHorizon; ++i, power *= kPole) {
    const int k = i % period;
    sum += power * get(k < n ? k : period - k);
  }
  return sum;
}

// Returns the initial value of the anticausal recursion from the last two values of the causal one.
template <class Real>
MMREG_INLINE Real last(Real end, Real before) {
  return (kPole / (kPole * kPole - 1.0f)) * (end + kPole * before);
}

// Filters a line of n values, read by get(i) and written by set(i, value); both may refer to the same memory.
template <class Real, class Get, class Set>
MMREG_INLINE void filter(int n, Get get, Set set) {
  if (n == 1) return;
  Real c = first<Real>(n, get), before = c;
  set(0, c);
  for (int i = 1; i < n; ++i) {
    before = c;
    set(i, c = kGain * get(i) + kPole * c);
  }
  set(n - 1, c = last(c, before));
  for (int i = n - 2; i >= 0; --i) set(i, c = kPole * (c - get(i)));
}

}  // namespace mmreg::MMREG_TARGET
