// Conversion of an intensity to a position in the joint histogram.
#pragma once
#include "core/similarity_gradient_data.h"

namespace mmreg::MMREG_TARGET {

// Returns the position in bins, clamped so that the Parzen window stays inside the histogram. NaN is preserved.
MMREG_INLINE float in_bins(float intensity, float scale, float offset) {
  const float low = float(kHistogramPadding), high = float(kHistogramBins - 1 - kHistogramPadding);
  const float bins = intensity * scale + offset;
  return bins < low ? low : bins > high ? high : bins;
}

}  // namespace mmreg::MMREG_TARGET
