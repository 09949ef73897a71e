// Histogram bins of intensities, and a Parzen histogram from moments per bin. Floats and Ints: see core/sampling.h.
#pragma once
#include "core/histogram.h"

namespace mmreg::MMREG_TARGET {

struct Bins {
  Ints index;
  Floats t;  // position inside the bin, in [0, 1]
};

// Returns a mask of the voxels to count: finite in both images.
MMREG_INLINE Ints countable(Floats fixed, Floats moving) { return (fixed - fixed == 0.0f) & (moving - moving == 0.0f); }

MMREG_INLINE Bins bins_of(Floats values, const Scale& s) {
  const Floats first = splat(float(s.first)), end = splat(float(s.last + 1));
  const Floats position = min(max((values - s.low) * s.factor + first, first), end);
  const Ints index = min(truncate(position), splat(s.last));
  return {index, position - to_floats(index)};
}

// Computes histogram[f][m - 1 .. m + 2] from the moments 1, t, t^2, t^3 of the cells [f][m]. `m`: scale of moving bins.
inline void spread(const double* moments, int cells, int moving_bins, const Scale& m, double* histogram) {
  for (int i = 0; i < cells; ++i) histogram[i] = 0;
  for (int i = 0; i < cells; ++i) {
    if (i % moving_bins < m.first || i % moving_bins > m.last) continue;
    for (int k = 0; k < 4; ++k)
      for (int p = 0; p < 4; ++p) histogram[i - 1 + k] += kParzenCubic[k][p] * moments[4 * i + p];
  }
  for (int i = 0; i < cells; ++i) histogram[i] = histogram[i] > 0 ? histogram[i] : 0;  // rounding may give less than 0
}

}  // namespace mmreg::MMREG_TARGET
