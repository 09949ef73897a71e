// An intensity as a place in the joint histogram.
#pragma once
#include "core/similarity_gradient_data.h"

namespace mmreg::MMREG_TARGET {

// In bins, clamped so that a Parzen window there stays in the histogram; NaN stays NaN.
MMREG_INLINE float in_bins(float intensity, float scale, float offset) {
  const float low = float(kHistogramPadding), high = float(kHistogramBins - 1 - kHistogramPadding);
  const float bins = intensity * scale + offset;
  return bins < low ? low : bins > high ? high : bins;
}

}  // namespace mmreg::MMREG_TARGET
