// Jacobian determinant of a displacement, row by row: central differences inside, one-sided at the border.
#include "core/jacobian.h"

#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct Step {  // neighbours along one axis and the reciprocal of their distance; an axis of 1 has no slope
  std::int64_t back, ahead;
  float scale;
};

MMREG_INLINE Step step(int i, int n, std::int64_t stride) {
  const int back = i > 0, ahead = i + 1 < n;
  return {-back * stride, ahead * stride, back + ahead == 2 ? 0.5f : float(back + ahead)};
}

}  // namespace

void jacobian(Queue& queue, const float* u, Extent n, float* out) {
  const std::int64_t plane = std::int64_t(n.h) * n.w, count = voxels(n);
  parallel(queue, std::int64_t(n.d) * n.h, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const Step z = step(int(row / n.h), n.d, plane), y = step(int(row % n.h), n.h, n.w);
      const auto at = [&](int x, Step s) {
        const float* c = u + row * n.w + x;
        float g[3][3];
        for (int k = 0; k < 3; ++k, c += count) {
          g[k][0] = (c[z.ahead] - c[z.back]) * z.scale;
          g[k][1] = (c[y.ahead] - c[y.back]) * y.scale;
          g[k][2] = (c[s.ahead] - c[s.back]) * s.scale;
        }
        out[row * n.w + x] = determinant(g);
      };
      at(0, step(0, n.w, 1));
      for (int x = 1; x + 1 < n.w; ++x) at(x, {-1, 1, 0.5f});
      if (n.w > 1) at(n.w - 1, step(n.w - 1, n.w, 1));
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
