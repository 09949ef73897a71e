// Warp of a batch of images in two or three dimensions, for network graphs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/context.h"

namespace mmreg {

using Shape = std::vector<std::int64_t>;

// Returns the shape of the result, (N, C, ...) on the grid of the displacement, for an image (N, C, ...) and a
// displacement (N, dims, ...) with 2 or 3 spatial axes. Throws std::invalid_argument if the shapes do not match.
Shape batch_warp_shape(const Shape& image, const Shape& displacement);

// Returns the number of floats of workspace: in 2-D, the size of a field with three components; in 3-D, 0.
std::size_t batch_warp_workspace(const Shape& displacement);

// Computes warped(p) = image(p + u(p)) for each sample, with linear interpolation; u in voxels of the image, components
// ordered like the axes. All pointers refer to the table's memory. Without a workspace, memory of the queue is used.
void batch_warp(const Context&, const float* image, const Shape& image_shape, const float* displacement,
                const Shape& displacement_shape, Border, float* warped, float* workspace = nullptr);

}  // namespace mmreg
