// Inverse of a displacement. Solves each voxel by the fixed-point iteration v <- -u(p + v), then, in a kernel in which
// most threads return at once, the voxels above the tolerance by Newton's method.
// clang-format off: the order of these headers matters
#include "cuda/sampling.h"
#include "core/inversion.h"
// clang-format on
#include "cuda/reduce.h"

namespace mmreg::MMREG_TARGET {
namespace {

// Computes v and the squared residuals.
void iterate(Queue& queue, const float* u, Extent n, int iterations, float tolerance, float* out, float* residual) {
  const Source<float> s = source(u, n);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& p) {
    const Inverse inverse = fixed_point(
        [&](const Floats(&v)[3], Floats(&value)[3]) {
          sample<Interpolation::linear, Holds::finite>(s, Border::extend, {p.z + v[0], p.y + v[1], p.x + v[2]}, value);
        },
        iterations, tolerance);
    for (int k = 0; k < 3; ++k) out[k * s.size + p.index] = inverse.v[k];
    residual[p.index] = inverse.residual;
  });
}

void rescue(Queue& queue, const float* u, Extent n, int iterations, float tolerance, float* out, float* residual) {
  const std::int64_t size = voxels(n);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& p) {
    if (!(residual[p.index] > tolerance * tolerance)) return;
    const double at[3] = {double(p.z), double(p.y), double(p.x)};
    double v[3];
    for (int k = 0; k < 3; ++k) v[k] = out[k * size + p.index];
    residual[p.index] = float(invert_point(u, n, at, iterations, tolerance, v));
    for (int k = 0; k < 3; ++k) out[k * size + p.index] = float(v[k]);
  });
}

struct Partial {
  double sum;
  float largest;
};

}  // namespace

Inversion invert(Queue& queue, const float* u, Extent n, int iterations, float tolerance, float* out) {
  const Scratch<float> memory(queue, voxels(n));
  float* const residual = memory.data();
  iterate(queue, u, n, iterations, tolerance, out, residual);
  rescue(queue, u, n, iterations, tolerance, out, residual);
  const Partial all = fold(
      queue, voxels(n), Partial{0, 0},
      [=] MMREG_DEVICE(std::int64_t i) {
        const float length = sqrt(residual[i]);
        return Partial{length, length};
      },
      [=] MMREG_DEVICE(const Partial& a, const Partial& b) {
        return Partial{a.sum + b.sum, worse(a.largest, b.largest)};
      });
  return {all.largest, all.sum / double(voxels(n))};
}

}  // namespace mmreg::MMREG_TARGET
