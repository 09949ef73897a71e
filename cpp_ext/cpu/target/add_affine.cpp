#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void add_affine(Queue& queue, const float* u, Extent n, const double* linear, const double* map, float* out) {
  const std::int64_t count = voxels(n);
  parallel(queue, std::int64_t(n.d) * n.h, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float *u0 = u + r * n.w, *u1 = u0 + count, *u2 = u1 + count;
      float a[3], b[3], c[3], start[3], slope[3];
      for (int k = 0; k < 3; ++k) {
        a[k] = float(linear[3 * k]), b[k] = float(linear[3 * k + 1]), c[k] = float(linear[3 * k + 2]);
        start[k] = float(map[4 * k] * double(r / n.h) + map[4 * k + 1] * double(r % n.h) + map[4 * k + 3]);
        slope[k] = float(map[4 * k + 2]);
      }
      float *o0 = out + r * n.w, *o1 = o0 + count, *o2 = o1 + count;
#pragma GCC ivdep
      for (int x = 0; x < n.w; ++x) {
        const float z = u0[x], y = u1[x], i = u2[x], at = float(x);
        o0[x] = a[0] * z + b[0] * y + c[0] * i + (start[0] + slope[0] * at);
        o1[x] = a[1] * z + b[1] * y + c[1] * i + (start[1] + slope[1] * at);
        o2[x] = a[2] * z + b[2] * y + c[2] * i + (start[2] + slope[2] * at);
      }
    }
  });
}

void lengths(Queue& queue, const float* u, Extent n, float* out) {
  const std::int64_t count = voxels(n);
  parallel(queue, count, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      out[i] = __builtin_sqrtf(u[i] * u[i] + u[i + count] * u[i + count] + u[i + 2 * count] * u[i + 2 * count]);
  });
}

}  // namespace mmreg::MMREG_TARGET
