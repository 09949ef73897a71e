// Plain data of the alignment operations, on host and device.
#pragma once
#include "core/types.h"

namespace mmreg {

// Monotone map of intensities to [0, 1]: linear between equidistant knots from low to high, constant outside.
struct IntensityMap {
  enum { steps = 256 };
  float low, high;
  float knot[steps + 1];
};

// Samples of the fixed image, as a structure of arrays. Does not own its memory, which belongs to the operation table.
struct SampleList {
  const float* points;  // (3, count), coordinates along axes 0, 1, 2 in a frame chosen by the caller
  const float* values;  // (count), intensities in [0, 1]
  std::int64_t count;
};

// Maps a sample to the moving image: index = affine * (point, 1), 3 x 4 row-major.
struct IndexMap {
  float affine[12];
};

}  // namespace mmreg
