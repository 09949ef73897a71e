// Samples an image at the points of a functor, one thread per voxel.
#pragma once
// clang-format off: the order of these headers matters
#include "cuda/lane.h"
#include "core/sampling.h"
// clang-format on
#include "cuda/launch.h"

namespace mmreg::MMREG_TARGET {

// Interpolates C channels at point p.
template <Interpolation kind, Holds holds = Holds::any, class T, int C>
MMREG_INLINE void sample(const Source<T>& s, const Outside& outside, const Points& p, Floats (&value)[C]) {
  const Points c = clamp(p, s);
  gather_values<kind>(s, p, c, value);
  if constexpr (kind == Interpolation::linear && holds == Holds::any) recount_linear(s, c, value);
  if (differ(p.z, c.z) || differ(p.y, c.y) || differ(p.x, c.x)) apply_border<kind>(s, outside, p, value);
}

// out[channel][voxel] = volume(points(voxel)) over a grid.
template <Interpolation kind, int C, class T, class PointsOf>
void sample_grid(Queue& queue, const T* volume, Extent m, const Outside& outside, Extent n, const PointsOf& points,
                 T* out) {
  const Source<T> s = source(volume, m);
  const std::int64_t size = voxels(n);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    Floats value[C];
    sample<kind>(s, outside, points(v, One{}), value);
    for (int k = 0; k < C; ++k) store(out + k * size + v.index, value[k]);
  });
}

// valid[voxel] = 1 if points(voxel) is in the footprint of a volume on grid m, else 0.
template <class PointsOf>
void mark_inside(Queue& queue, Extent m, Extent n, const PointsOf& points, std::uint8_t* valid) {
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) { valid[v.index] = inside(points(v, One{}), m) ? 1 : 0; });
}

}  // namespace mmreg::MMREG_TARGET
