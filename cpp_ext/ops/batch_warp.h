// The warp as graphs of networks have it: a batch, in two dimensions or three.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/context.h"

namespace mmreg {

using Shape = std::vector<std::int64_t>;

// The shape of the result: image (N, C, ...) and displacement (N, dims, ...) of 2 or 3 axes give (N, C, ...) on the
// displacement's grid. Throws std::invalid_argument where they do not fit.
Shape batch_warp_shape(const Shape& image, const Shape& displacement);

// Floats that a warp of this displacement needs besides: in the plane, for a field with its third component.
std::size_t batch_warp_workspace(const Shape& displacement);

// warped(p) = image(p + u(p)), linear, sample by sample; u in voxels of the image, components ordered like the axes.
// All of it belongs to the table's memory. Without a workspace the queue's memory is taken meanwhile.
void batch_warp(const Context&, const float* image, const Shape& image_shape, const float* displacement,
                const Shape& displacement_shape, Border, float* warped, float* workspace = nullptr);

}  // namespace mmreg
