// Cubic B-spline coefficients of an image, axis by axis in place, one thread per line.
#include "core/prefilter.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

// Filters `lines` lines of n values, `stride` apart. Line i starts at (i / inner) * outer + i % inner * step.
void filter_lines(Queue& queue, float* image, std::int64_t lines, int n, std::int64_t stride, std::int64_t inner,
                  std::int64_t outer, std::int64_t step) {
  for_each(queue, lines, [=] MMREG_DEVICE(std::int64_t i) {
    float* const p = image + i / inner * outer + i % inner * step;
    filter<float>(n, [=](int k) { return p[k * stride]; }, [=](int k, float v) { p[k * stride] = v; });
  });
}

}  // namespace

void prefilter(Queue& queue, Image image, float* out) {
  const Extent n = image.n;
  const std::int64_t plane = std::int64_t(n.h) * n.w, total = image.channels * voxels(n);
  if (out != image.data) for_each(queue, total, [=] MMREG_DEVICE(std::int64_t i) { out[i] = image.data[i]; });
  filter_lines(queue, out, total / n.w, n.w, 1, total / n.w, 0, n.w);
  filter_lines(queue, out, total / n.h, n.h, n.w, n.w, plane, 1);
  filter_lines(queue, out, total / n.d, n.d, plane, plane, plane * n.d, 1);
}

}  // namespace mmreg::MMREG_TARGET
