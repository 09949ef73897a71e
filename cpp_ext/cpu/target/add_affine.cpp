#include "core/affine_row.h"
#include "core/length.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void add_affine(Queue& queue, const float* u, Extent n, const double* linear, const double* map, float* out) {
  const std::int64_t count = voxels(n);
  const AffineRows rows[3] = {affine_rows(linear, map, 0), affine_rows(linear, map, 1), affine_rows(linear, map, 2)};
  parallel(queue, std::int64_t(n.d) * n.h, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float *u0 = u + r * n.w, *u1 = u0 + count, *u2 = u1 + count;
      const int at_z = int(r / n.h), at_y = int(r % n.h);
      const AffineRow row0 = rows[0].row(at_z, at_y), row1 = rows[1].row(at_z, at_y), row2 = rows[2].row(at_z, at_y);
      float *o0 = out + r * n.w, *o1 = o0 + count, *o2 = o1 + count;
#pragma GCC ivdep
      for (int x = 0; x < n.w; ++x) {
        const float z = u0[x], y = u1[x], i = u2[x], at = float(x);
        o0[x] = row0(z, y, i, at);
        o1[x] = row1(z, y, i, at);
        o2[x] = row2(z, y, i, at);
      }
    }
  });
}

void lengths(Queue& queue, const float* u, Extent n, float* out) {
  const std::int64_t count = voxels(n);
  parallel(queue, count, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      out[i] = __builtin_sqrtf(squared_length(u[i], u[i + count], u[i + 2 * count]));
  });
}

}  // namespace mmreg::MMREG_TARGET
