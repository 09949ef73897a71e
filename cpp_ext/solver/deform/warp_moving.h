// Warps the moving image to the grid of the fixed image by an affine index map or a displacement.
#pragma once
#include "ops/buffer.h"
#include "solver/deform/input.h"
#include "solver/math/affine_map.h"

namespace mmreg {

struct WarpedMoving {
  Buffer<float> moving;
  Buffer<std::uint8_t> valid;  // 0 outside the moving scan and its mask
};

WarpedMoving warp_moving(const Context&, const DeformInput&, const AffineMap& to_moving);
WarpedMoving warp_moving(const Context&, const DeformInput&, const float* u);

Buffer<float> mask_to_float(const Context&, Mask);  // 1 inside, 0 outside

// Clears `valid`, on grid n, where the nearest voxel of `mask` is 0.
void restrict_to_mask(const Context&, Mask mask, const AffineMap& to_moving, Extent n, std::uint8_t* valid);

}  // namespace mmreg
