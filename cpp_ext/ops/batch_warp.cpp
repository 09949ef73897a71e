#include "ops/batch_warp.h"

#include <climits>
#include <stdexcept>
#include <string>

#include "ops/buffer.h"

namespace mmreg {
namespace {

std::string text_of(const Shape& shape) {
  std::string text;
  for (std::int64_t extent : shape) text += (text.empty() ? "(" : ", ") + std::to_string(extent);
  return text + ")";
}

std::int64_t product(const Shape& shape, std::size_t first) {
  std::int64_t count = 1;
  for (std::size_t axis = first; axis < shape.size(); ++axis) count *= shape[axis];
  return count;
}

Extent extent(const Shape& shape) {
  const std::size_t rank = shape.size();
  return {rank == 5 ? int(shape[2]) : 1, int(shape[rank - 2]), int(shape[rank - 1])};
}

bool indexable(const Shape& shape) {  // voxel indices are int
  std::int64_t count = 1;
  for (std::size_t axis = 2; axis < shape.size(); ++axis) {
    if (shape[axis] < 0 || shape[axis] > INT_MAX) return false;
    count *= shape[axis];
    if (count > INT_MAX) return false;
  }
  return true;
}

// Extends a 2-D field to 3-D by 0 times its first component: NaN where the field is not finite, as is the warp.
void lift(const Context& context, const float* u, std::int64_t plane, float* lifted) {
  context.axpby(plane, 0.0f, u, 0.0f, u, lifted);
  context.axpby(2 * plane, 1.0f, u, 0.0f, u, lifted + plane);
}

}  // namespace

Shape batch_warp_shape(const Shape& image, const Shape& u) {
  const std::size_t rank = image.size();
  const bool fits = (rank == 4 || rank == 5) && u.size() == rank && u[1] == std::int64_t(rank) - 2 &&
                    u[0] == image[0] && u[0] >= 0 && image[1] >= 0 && image[1] <= INT_MAX && indexable(image) &&
                    indexable(u);
  if (!fits || (product(u, 0) > 0 && product(image, 2) == 0))
    throw std::invalid_argument(
        "a warp takes an image (N, C, ...) and a displacement (N, dims, ...) of 2 or 3 axes, below 2**31 voxels each; "
        "got " +
        text_of(image) + " and " + text_of(u));
  Shape result = u;
  result[1] = image[1];
  return result;
}

std::size_t batch_warp_workspace(const Shape& u) { return u.size() == 4 ? std::size_t(3 * product(u, 2)) : 0; }

void batch_warp(const Context& context, const float* image, const Shape& image_shape, const float* u,
                const Shape& u_shape, Border border, float* warped, float* workspace) {
  const Shape shape = batch_warp_shape(image_shape, u_shape);
  if (product(shape, 0) == 0) return;
  const std::int64_t plane = product(u_shape, 2);
  const std::size_t needed = batch_warp_workspace(u_shape);
  Buffer<float> own;  // allocated only if needed: a graph must not record memory that is released here
  if (needed && !workspace) own = Buffer<float>(context, needed);
  float* const lifted = !needed ? nullptr : workspace ? workspace : own.data();
  for (std::int64_t sample = 0; sample < shape[0]; ++sample) {
    const float* field = u + sample * product(u_shape, 1);
    if (lifted) lift(context, field, plane, lifted);
    context.warp(Image{image + sample * product(image_shape, 1), extent(image_shape), int(image_shape[1])},
                 Displacement{lifted ? lifted : field, extent(u_shape)}, Interpolation::linear, border,
                 warped + sample * product(shape, 1), nullptr);
  }
}

}  // namespace mmreg
