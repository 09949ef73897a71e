// Weighted windows along an axis. A thread computes four neighbouring outputs, so that a value is read for four sums.
#pragma once
#include "core/border.h"
#include "core/taps.h"
#include "cuda/four.h"

namespace mmreg::MMREG_TARGET {

constexpr int kOutputs = 4;  // per thread

struct Weights {      // weights of the window of the first output, padded by zeros for the windows of the others
  int radius, steps;  // steps: values spanned by all four windows, a multiple of 4
  alignas(16) float padded[2 * kMaxRadius + 3 * kOutputs];
};

inline Weights weights_of(const Taps& taps) {
  Weights w{};
  w.radius = taps.radius;
  w.steps = (2 * taps.radius + kOutputs + 3) / 4 * 4;
  for (int k = -taps.radius; k <= taps.radius; ++k)
    w.padded[kOutputs - 1 + taps.radius + k] = taps.weight[k < 0 ? -k : k];
  return w;
}

// Adds the values k .. k + 3 of a line, counted from the start of the first window, to the weighted sum of each output.
MMREG_INLINE void weigh_four(const Weights& w, int k, const Four& value, float (&sum)[kOutputs]) {
  for (int i = 0; i < 4; ++i)
    for (int s = 0; s < kOutputs; ++s) sum[s] += w.padded[kOutputs - 1 + k + i - s] * value.v[i];
}

template <class FourAt>
MMREG_INLINE void weigh(const Weights& w, const FourAt& four, float (&sum)[kOutputs]) {
  for (int k = 0; k < w.steps; k += 4) weigh_four(w, k, four(k), sum);
}

// Returns four values from index `first`, which may lie outside, of a line of n values `stride` apart.
MMREG_INLINE Four four_of_line(const float* line, int n, std::int64_t stride, int first) {
  return {line[inside(first, n) * stride], line[inside(first + 1, n) * stride], line[inside(first + 2, n) * stride],
          line[inside(first + 3, n) * stride]};
}

MMREG_INLINE void filter_line(const float* in, int n, std::int64_t stride, int first, const Weights& w, float* out) {
  float sum[kOutputs] = {};
  weigh(w, [&](int k) { return four_of_line(in, n, stride, first - w.radius + k); }, sum);
  for (int s = 0; s < kOutputs && first + s < n; ++s) out[(first + s) * stride] = sum[s];
}

inline int groups_of(int n) { return (n + kOutputs - 1) / kOutputs; }

}  // namespace mmreg::MMREG_TARGET
