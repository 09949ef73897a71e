// Trilinear values of an image at a list of points, one thread per point.
#include "core/covered_sample.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void sample_points(Queue& queue, Image image, const std::uint8_t* mask, const float* points, std::int64_t count,
                   float* values) {
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) {
    const float z = points[i], y = points[i + count], x = points[i + 2 * count];
    const bool masked = mask && mask[nearest_voxel(image.n, z, y, x)] == 0;
    values[i] = masked ? __builtin_nanf("") : covered_value(covered_sample(image.data, image.n, z, y, x));
  });
}

}  // namespace mmreg::MMREG_TARGET
