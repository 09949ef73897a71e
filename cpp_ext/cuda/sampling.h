// Images on a grid, sampled where a functor says: one thread a voxel, channels by threes and ones.
#pragma once
// clang-format off: the second is written in terms of the first
#include "cuda/lane.h"
#include "core/sampling.h"
// clang-format on
#include "cuda/launch.h"

namespace mmreg::MMREG_TARGET {

// C channels at point p.
template <Interpolation kind, int C>
MMREG_INLINE void sample(const Source& s, Border border, const Points& p, Floats (&value)[C]) {
  const Points c = clamp(p, s);
  gather_values<kind>(s, p, c, value);
  if (differ(p.z, c.z) || differ(p.y, c.y) || differ(p.x, c.x)) apply_border<kind>(s, border, p, value);
}

template <Interpolation kind, int C, class PointsOf>
void sample_grid(Queue& queue, const float* volume, Extent m, Border border, Extent n, const PointsOf& points,
                 float* out) {
  const Source s = source(volume, m);
  const std::int64_t size = voxels(n);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    Floats value[C];
    sample<kind>(s, border, points(v, One{}), value);
    for (int k = 0; k < C; ++k) out[k * size + v.index] = value[k];
  });
}

template <Interpolation kind, class PointsOf>
void sample_channels(Queue& queue, const float* volume, int channels, Extent m, Border border, Extent n,
                     const PointsOf& points, float* out) {
  int k = 0;
  for (; k + 3 <= channels; k += 3)
    sample_grid<kind, 3>(queue, volume + k * voxels(m), m, border, n, points, out + k * voxels(n));
  for (; k < channels; ++k)
    sample_grid<kind, 1>(queue, volume + k * voxels(m), m, border, n, points, out + k * voxels(n));
}

template <class PointsOf>
void sample_image(Queue& queue, const float* volume, int channels, Extent m, Interpolation kind, Border border,
                  Extent n, const PointsOf& points, float* out, std::uint8_t* valid) {
  if (kind == Interpolation::nearest)
    sample_channels<Interpolation::nearest>(queue, volume, channels, m, border, n, points, out);
  else if (kind == Interpolation::linear)
    sample_channels<Interpolation::linear>(queue, volume, channels, m, border, n, points, out);
  else
    sample_channels<Interpolation::cubic>(queue, volume, channels, m, border, n, points, out);
  if (valid)
    for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) { valid[v.index] = inside(points(v, One{}), m) ? 1 : 0; });
}

}  // namespace mmreg::MMREG_TARGET
