// What a linear warp passes back: to the displacement, and to the image.
#include <cmath>

#include "core/corners.h"
#include "cuda/reduce.h"

namespace mmreg::MMREG_TARGET {
namespace {

MMREG_DEVICE inline Corners corners_at(const float* u, std::int64_t size, const Voxel& v, Extent m, Border border) {
  return corners(float(v.z) + u[v.index], float(v.y) + u[size + v.index], float(v.x) + u[2 * size + v.index], m,
                 border);
}

// Sums are kept as whole numbers, so that their order does not matter: 2^62 is the largest that any can become, were
// all of the `count` values as large as the largest and met in one voxel.
MMREG_DEVICE inline double unit(float largest, double count) {
  return largest > 0 && largest < INFINITY ? double(largest) * count / double(1ll << 62) : 1.0;
}

}  // namespace

void warp_slope(Queue& queue, const float* moving, int channels, Extent m, const float* u, Extent n, Border border,
                const float* upstream, float* gradient) {
  const std::int64_t size = voxels(n), volume = voxels(m);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    float along[3] = {};
    for_corners(corners_at(u, size, v, m, border), m, [&](std::int64_t at, float, const float (&slope)[3]) {
      float value = 0;
      for (int k = 0; k < channels; ++k) value += upstream[k * size + v.index] * moving[k * volume + at];
      for (int a = 0; a < 3; ++a) along[a] += slope[a] * value;
    });
    for (int a = 0; a < 3; ++a) gradient[a * size + v.index] = along[a];
  });
}

void warp_adjoint(Queue& queue, const float* upstream, int channels, const float* u, Extent n, Border border, Extent m,
                  float* gradient) {
  const std::int64_t size = voxels(n), volume = voxels(m);
  const Scratch<unsigned long long> sums(queue, volume);
  const Scratch<float> most(queue, 1);
  unsigned long long* const to = sums.data();
  const float* const largest = most.data();
  for (int k = 0; k < channels; ++k, upstream += size, gradient += volume) {
    const float* const from = upstream;
    float* const out = gradient;
    fold_on_device(
        queue, size, 0.0f, [=] MMREG_DEVICE(std::int64_t i) { return fabsf(from[i]); },
        [] MMREG_DEVICE(float a, float b) { return a > b ? a : b; }, most.data());
    for_each(queue, volume, [=] MMREG_DEVICE(std::int64_t i) { to[i] = 0; });
    for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
      const double per_unit = 1.0 / unit(*largest, double(size));
      for_corners(corners_at(u, size, v, m, border), m, [=](std::int64_t at, float weight, const float (&)[3]) {
        const double value = double(weight * from[v.index]) * per_unit;
        if (value != 0) atomic_add(to + at, (unsigned long long)(long long)(value));
      });
    });
    for_each(queue, volume, [=] MMREG_DEVICE(std::int64_t i) {
      out[i] = float(double((long long)(to[i])) * unit(*largest, double(size)));
    });
  }
}

}  // namespace mmreg::MMREG_TARGET
