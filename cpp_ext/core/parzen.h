// Tabulated cubic B-spline Parzen window of a moving intensity, which spreads a sample over four bins.
#pragma once
#include "core/similarity_gradient_data.h"
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

enum { parzen_steps = 128 };  // table entries per bin; half precision resolves 1/64 of a bin

struct Bin {
  int first, step;  // first of four bins; position between the second and the third, in 1/parzen_steps
};

// `intensity` is in bins; it is clamped to the range inside the padding.
MMREG_INLINE Bin parzen_bin(float intensity) {
  const float low = float(kHistogramPadding), high = float(kHistogramBins - 1 - kHistogramPadding);
  const float x = intensity > low ? (intensity < high ? intensity : high) : low;
  const int at = int(x * parzen_steps);
  return {at / parzen_steps - 1, at % parzen_steps};
}

// window[k] = B3(k - 1 - t) and its derivative with respect to the intensity, at t = (step + 1/2) / parzen_steps.
MMREG_INLINE void parzen_entry(int step, float window[4], float slope[4]) {
  const float t = (float(step) + 0.5f) / parzen_steps, r = 1 - t;
  window[0] = r * r * r / 6;
  window[3] = t * t * t / 6;
  window[1] = (3 * t * t * t - 6 * t * t + 4) / 6;
  window[2] = (3 * r * r * r - 6 * r * r + 4) / 6;
  slope[0] = -r * r / 2;
  slope[3] = t * t / 2;
  slope[1] = (9 * t * t - 12 * t) / 6;
  slope[2] = (12 * r - 9 * r * r) / 6;
}

}  // namespace mmreg::MMREG_TARGET
