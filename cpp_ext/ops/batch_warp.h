// The warp of network graphs: a batch, in two or three dimensions.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/context.h"

namespace mmreg {

using Shape = std::vector<std::int64_t>;

// Returns the shape of the result: image (N, C, ...) and displacement (N, dims, ...) of 2 or 3 axes give (N, C, ...)
// on the displacement's grid. Throws std::invalid_argument if the shapes do not fit.
Shape batch_warp_shape(const Shape& image, const Shape& displacement);

// Number of floats of workspace for a warp by this displacement: in 2-D, those of a field with its third component.
std::size_t batch_warp_workspace(const Shape& displacement);

// warped(p) = image(p + u(p)), linear, sample by sample; u in voxels of the image, components ordered like the axes.
// All pointers belong to the table's memory. Without a workspace, memory of the queue is used.
void batch_warp(const Context&, const float* image, const Shape& image_shape, const float* displacement,
                const Shape& displacement_shape, Border, float* warped, float* workspace = nullptr);

}  // namespace mmreg
