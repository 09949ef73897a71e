// Plain data of the alignment operations, on host and device.
#pragma once
#include "core/types.h"

namespace mmreg {

// Monotone map of intensities to [0, 1]: linear between knots at equal steps from low to high, constant outside.
struct IntensityMap {
  enum { steps = 256 };
  float low, high;
  float knot[steps + 1];
};

// Points of the fixed image, structure of arrays in table memory.
struct SampleList {
  const float* points;  // (3, count): coordinates 0, 1, 2 in a frame of the caller's choice
  const float* values;  // (count), intensities in [0, 1]
  std::int64_t count;
};

// Where the samples fall in the moving image: index = affine * (point, 1), 3x4 row major.
struct IndexMap {
  float affine[12];
};

}  // namespace mmreg
