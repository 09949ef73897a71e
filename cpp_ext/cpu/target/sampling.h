// Interpolation at a vector of points (core/sampling.h): by row loads if the points are close together, else by
// gathers.
#pragma once
#include <type_traits>

#include "cpu/target/sampling_rows.h"
#include "ops/operations.h"

namespace mmreg::MMREG_TARGET {

// Interpolates C channels at points p.
template <Interpolation kind, Holds holds = Holds::any, class T, int C>
MMREG_INLINE void sample(const Source<T>& s, const Outside& outside, const Points& p, Floats (&value)[C]) {
  const Points c = clamp(p, s);
  using Rows = std::conditional_t<kind == Interpolation::linear, LinearRows, CubicRows>;
  bool done = false;
  if constexpr (kind != Interpolation::nearest && kHasPermute) done = sample_rows<Rows>(s, c, value);
  if (!done) gather_values<kind>(s, p, c, value);
  if constexpr (kind == Interpolation::linear && holds == Holds::any) recount_linear(s, c, value);
  if (__builtin_expect(!differ(p.z, c.z) && !differ(p.y, c.y) && !differ(p.x, c.x), 1)) return;
  apply_border<kind>(s, outside, p, value);
}

// out[channel][voxel] = volume(points(voxel)) over a grid; points(voxel, count) returns the points of one vector.
template <Interpolation kind, int C, class T, class PointsOf>
inline void sample_grid(Queue& queue, const T* volume, Extent m, const Outside& outside, Extent n,
                        const PointsOf& points, T* out) {
  const std::int64_t size = voxels(n);
  parallel_rows(queue, n, [=](std::int64_t begin, std::int64_t end) {
    const Source<T> s = source(volume, m);
    for_vectors_of_rows(n, begin, end, [&](Voxel v, auto count) MMREG_INLINE_LAMBDA {
      Floats value[C];
      sample<kind>(s, outside, points(v, count), value);
      for (int k = 0; k < C; ++k) store(out + k * size + v.index, value[k], count);
    });
  });
}

// valid[voxel] = 1 if points(voxel) is in the footprint of a volume on grid m, else 0.
template <class PointsOf>
inline void mark_inside(Queue& queue, Extent m, Extent n, const PointsOf& points, std::uint8_t* valid) {
  for_vectors(queue, n, [=](Voxel v, auto count) { store_flags(valid + v.index, inside(points(v, count), m), count); });
}

}  // namespace mmreg::MMREG_TARGET
