// Plain data of the operation `detail`.
#pragma once
#include "core/types.h"

namespace mmreg {

struct Detail {  // over voxels that lie above the background, as do those three voxels away along each axis
  double count, sum, square;  // of the intensity, clipped to [low, high]
  double slope[3];            // squared central difference along each axis, summed; 0 along an axis of 1
};

struct Foreground {  // a voxel above `background` belongs to the scan
  float background, low, high;
};

}  // namespace mmreg
