// Jacobian determinant of a displacement: central differences inside, one-sided at the border.
#include "core/jacobian.h"
#include "cuda/differences.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void jacobian(Queue& queue, const float* u, Extent n, float* out) {
  const std::int64_t plane = std::int64_t(n.h) * n.w, total = voxels(n);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    const Axis along[3] = {axis(v.z, n.d, plane), axis(v.y, n.h, n.w), axis(v.x, n.w, 1)};
    float g[3][3];
    for (int k = 0; k < 3; ++k) {
      const float* p = u + k * total + v.index;
      for (int a = 0; a < 3; ++a) g[k][a] = central(around(p, along[a], *p, One{}), along[a].scale);
    }
    out[v.index] = determinant(g);
  });
}

}  // namespace mmreg::MMREG_TARGET
