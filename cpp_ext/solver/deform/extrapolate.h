// Voxels that are left out of the comparison get a smooth continuation of those that are in, so that nothing of their
// content, nor the edge where they begin, is seen by features, pooled images or the dense search.
#pragma once
#include "solver/deform/deform.h"

namespace mmreg {

struct Filled {
  DeformInput input;
  Buffer<float> fixed, moving;  // what input.fixed and input.moving point to, where anything had to be filled
};

Filled fill(const Context&, const DeformInput&);

}  // namespace mmreg
