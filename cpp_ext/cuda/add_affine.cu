// Changes the frame of a displacement or adds an affine map to it; lengths of a displacement.
#include "core/affine_row.h"
#include "core/length.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void add_affine(Queue& queue, const float* u, Extent n, const double* linear, const double* map, float* out) {
  const std::int64_t size = voxels(n);
  const AffineRows rows0 = affine_rows(linear, map, 0), rows1 = affine_rows(linear, map, 1),
                   rows2 = affine_rows(linear, map, 2);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    const float z = u[v.index], y = u[v.index + size],
                x = u[v.index + 2 * size];  // read before `out` is written, which may be u
    out[v.index] = rows0.row(v.z, v.y)(z, y, x, float(v.x));
    out[v.index + size] = rows1.row(v.z, v.y)(z, y, x, float(v.x));
    out[v.index + 2 * size] = rows2.row(v.z, v.y)(z, y, x, float(v.x));
  });
}

void lengths(Queue& queue, const float* u, Extent n, float* out) {
  const std::int64_t size = voxels(n);
  for_each(queue, size,
           [=] MMREG_DEVICE(std::int64_t i) { out[i] = sqrt(squared_length(u[i], u[i + size], u[i + 2 * size])); });
}

}  // namespace mmreg::MMREG_TARGET
