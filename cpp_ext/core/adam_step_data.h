// Arguments of the operation `adam_step`: turns a gradient into a step with running moments.
#pragma once
#include "core/types.h"

namespace mmreg {

struct AdamStepArguments {
  const float* gradient;  // (3, d, h, w)
  Extent n;
  float* mean;    // (3, d, h, w), running mean of the gradient, updated
  float* square;  // (d, h, w), running mean of |gradient|^2, updated
  int iteration;  // from 1: corrects the moments for their start at zero (Kingma and Ba, 2015)
  float mean_decay, square_decay;
  float floor;     // added under the root, in units of the gradient: places of small gradient take small steps
  float rate_vox;  // longest step
  float* step;     // (3, d, h, w), voxels
};

}  // namespace mmreg
