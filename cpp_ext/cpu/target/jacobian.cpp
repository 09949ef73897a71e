// Jacobian determinant of a displacement: central differences inside, one-sided at the border.
#include "core/jacobian.h"

#include "cpu/target/differences.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void jacobian(Queue& queue, const float* u, Extent n, float* out) {
  const std::int64_t plane = std::int64_t(n.h) * n.w, total = voxels(n);
  for_vectors(queue, n, [&](Voxel v, auto count) {
    const Axis z = axis(v.z, n.d, plane), y = axis(v.y, n.h, n.w);
    const Floats x_scale = row_scale(v.x, n.w);
    Floats g[3][3];
    for (int k = 0; k < 3; ++k) {
      const float* p = u + k * total + v.index;
      const Floats here = load(p, count);
      g[k][0] = central(around(p, z, here, count), splat(z.scale));
      g[k][1] = central(around(p, y, here, count), splat(y.scale));
      g[k][2] = central(around_in_row(p, v.x, n.w, here, count), x_scale);
    }
    store(out + v.index, determinant(g), count);
  });
}

}  // namespace mmreg::MMREG_TARGET
