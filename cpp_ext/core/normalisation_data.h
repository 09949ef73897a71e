// How intensities are mapped to [0, 1], and the extremes measured on the way.
#pragma once
#include <cstdint>

namespace mmreg {

struct Normalisation {
  enum Kind : int {
    percentile,  // low, high: percentiles, of nearest rank, of the voxels above the lowest value, which is background
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
