// Parameters of the normalisation of intensities to [0, 1], and the extremes of an image.
#pragma once
#include <cstdint>

namespace mmreg {

struct Normalisation {
  enum Kind : int {
    percentile,  // low, high: nearest-rank percentiles of the voxels above the lowest value, the background
    window,      // low, high: intensities
    minmax       // from the lowest to the highest value
  } kind;
  double low, high;
};

struct Extremes {  // of the finite voxels; +infinity and -infinity if there are none
  float smallest, largest;
  std::int64_t not_finite;
};

}  // namespace mmreg
