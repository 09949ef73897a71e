// Arguments of the operation `descent`: turn a force into a step with running moments.
#pragma once
#include "core/types.h"

namespace mmreg {

struct DescentArguments {
  const float* force;  // (3, d, h, w)
  Extent n;
  float* mean;    // (3, d, h, w), running mean of the force, updated
  float* square;  // (d, h, w), running mean of |force|^2, updated
  int iteration;  // from 1: corrects the moments for their start at zero (Kingma and Ba, 2015)
  float mean_decay, square_decay;
  float floor;     // added under the root, in units of force: quiet places take small steps
  float rate_vox;  // longest step
  float* step;     // (3, d, h, w), voxels
};

}  // namespace mmreg
