// Inverse of a displacement. Solves vectors of voxels by the fixed-point iteration v <- -u(p + v), then the voxels
// above the tolerance one by one by Newton's method.
// clang-format off: the order of these headers matters
#include "cpu/target/sampling.h"
#include "core/inversion.h"
// clang-format on
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

MMREG_INLINE void newton(const float* u, Extent n, const Floats at[3], int iterations, float tolerance, int count,
                         Inverse& inverse) {
  for (int i = 0; i < count; ++i) {
    if (!(inverse.residual[i] > tolerance * tolerance)) continue;
    const double p[3] = {at[0][i], at[1][i], at[2][i]};
    double v[3] = {inverse.v[0][i], inverse.v[1][i], inverse.v[2][i]};
    inverse.residual[i] = float(invert_point(u, n, p, iterations, tolerance, v));
    for (int k = 0; k < 3; ++k) inverse.v[k][i] = float(v[k]);
  }
}

struct Partial {
  double sum;
  float largest;
};

MMREG_INLINE int in_use(Whole) { return kLanes; }
MMREG_INLINE int in_use(int count) { return count; }

}  // namespace

Inversion invert(Queue& queue, const float* u, Extent n, int iterations, float tolerance, float* out) {
  constexpr std::int64_t grain = 16;
  const std::int64_t total = voxels(n), rows = std::int64_t(n.d) * n.h, pieces = (rows + grain - 1) / grain;
  Scratch<Partial> partial(queue, pieces + 1);
  Partial* parts = partial;
  parallel(queue, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    Partial part{0, 0};
    const Source<float> s = source(u, n);
    for_vectors_of_rows(n, begin, end, [&](Voxel v, auto count) {
      const Floats at[3] = {splat(float(v.z)), splat(float(v.y)), to_floats(v.x + lane_numbers())};
      Inverse inverse = fixed_point(
          [&](const Floats(&v)[3], Floats(&value)[3]) MMREG_INLINE_LAMBDA {
            sample<Interpolation::linear, Holds::finite>(s, Border::extend, {at[0] + v[0], at[1] + v[1], at[2] + v[2]},
                                                         value);
          },
          iterations, tolerance);
      if (any(inverse.residual > splat(tolerance * tolerance)))
        newton(u, n, at, iterations, tolerance, in_use(count), inverse);
      for (int k = 0; k < 3; ++k) store(out + k * total + v.index, inverse.v[k], count);
      const Floats length = lane_numbers() < splat(in_use(count)) ? sqrt(inverse.residual) : Floats{};
      const float total = sum(length);
      part.sum += double(total);
      part.largest = worse(total == total ? largest(length) : total, part.largest);
    });
    parts[begin / grain] = part;
  });
  Inversion all{0, 0};
  for (std::int64_t i = 0; i < pieces; ++i) {
    all.mean += parts[i].sum;
    all.largest = double(worse(parts[i].largest, float(all.largest)));
  }
  all.mean /= double(total);
  return all;
}

}  // namespace mmreg::MMREG_TARGET
