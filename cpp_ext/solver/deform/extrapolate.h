// Replaces invalid voxels by a smooth extrapolation of the valid ones, so that neither their content nor the edge of
// the valid region affects features, pooled images or the dense search.
#pragma once
#include "ops/buffer.h"
#include "solver/deform/input.h"

namespace mmreg {

struct ExtrapolatedPair {
  DeformInput input;
  Buffer<float> fixed, moving;  // memory of input.fixed and input.moving; empty for an image without a replaced voxel
};

ExtrapolatedPair extrapolate(const Context&, const DeformInput&);

}  // namespace mmreg
