// Trilinear values of an image at a list of points.
#include "core/covered_sample.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void sample_points(Queue& queue, Image image, const std::uint8_t* mask, const float* points, std::int64_t count,
                   float* values) {
  float* __restrict to = values;
  const float *z = points, *y = points + count, *x = y + count;
  parallel(queue, count, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      to[i] = covered_value(covered_sample(image.data, image.n, z[i], y[i], x[i]));
    if (!mask) return;
    for (std::int64_t i = begin; i < end; ++i)
      if (mask[nearest_voxel(image.n, z[i], y[i], x[i])] == 0) values[i] = __builtin_nanf("");
  });
}

}  // namespace mmreg::MMREG_TARGET
