// Trilinear values of an image at a list of points.
#include "core/covered_sample.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

MMREG_INLINE int near(float x, int n) {
  const float last = float(n - 1), inside = x > 0 ? (x < last ? x : last) : 0.0f;
  return int(inside + 0.5f);
}

}  // namespace

void sample_points(Queue& queue, const float* image, const std::uint8_t* mask, Extent n, const float* points,
                   std::int64_t count, float* values) {
  float* __restrict to = values;
  const float *z = points, *y = points + count, *x = y + count;
  parallel(queue, count, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const CoveredSample s = covered_sample(image, n, z[i], y[i], x[i]);
      to[i] = s.cover > 0 ? s.value : __builtin_nanf("");
    }
    if (!mask) return;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = (std::int64_t(near(z[i], n.d)) * n.h + near(y[i], n.h)) * n.w + near(x[i], n.w);
      if (mask[at] == 0) values[i] = __builtin_nanf("");
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
