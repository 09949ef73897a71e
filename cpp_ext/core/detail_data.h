// Plain data of the operation `detail`.
#pragma once
#include "core/types.h"

namespace mmreg {

struct Detail {  // over voxels above the background whose neighbours three voxels away along each axis are, too
  double count, sum, square;  // of the intensity, clipped to [low, high]
  double slope[3];            // sum of the squared central difference along each axis; 0 along an axis of 1
};

struct Foreground {  // voxels above `background`; `low` and `high` clip their intensity
  float background, low, high;
};

}  // namespace mmreg
