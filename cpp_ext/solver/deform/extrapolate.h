// Replaces voxels that are left out of the comparison by a smooth continuation of the others, so that neither their
// content nor the edge where they begin reaches features, pooled images or the dense search.
#pragma once
#include "ops/buffer.h"
#include "solver/deform/input.h"

namespace mmreg {

struct ExtrapolatedPair {
  DeformInput input;
  Buffer<float> fixed, moving;  // what input.fixed and input.moving point to, where a voxel had to be replaced
};

ExtrapolatedPair extrapolate(const Context&, const DeformInput&);

}  // namespace mmreg
