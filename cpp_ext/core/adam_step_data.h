// Arguments of the operation `adam_step`, which computes a step from a gradient and its running moments.
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
  float floor;     // added under the root, in units of the gradient: a small gradient gives a small step
  float rate_vox;  // length of the longest step
  float* step;     // (3, d, h, w), voxels
};

}  // namespace mmreg
