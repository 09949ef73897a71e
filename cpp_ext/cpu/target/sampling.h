// Values of a volume at a vector of points, as core/sampling.h defines them: from loaded rows where the points lie
// close together, gathered where they do not.
#pragma once
#include <type_traits>

#include "cpu/target/sampling_rows.h"
#include "solver/operations.h"

namespace mmreg::MMREG_TARGET {

// C channels at points p.
template <Interpolation kind, int C>
MMREG_INLINE void sample(const Source& s, Border border, const Points& p, Floats (&value)[C]) {
  const Points c = clamp(p, s);
  using Rows = std::conditional_t<kind == Interpolation::linear, LinearRows, CubicRows>;
  bool found = false;
  if constexpr (kind != Interpolation::nearest) found = sample_rows<Rows>(s, c, value);
  if (!found) gather_values<kind>(s, p, c, value);
  if (__builtin_expect(!differ(p.z, c.z) && !differ(p.y, c.y) && !differ(p.x, c.x), 1)) return;
  apply_border<kind>(s, border, p, value);
}

// out[channel][voxel] = volume(points(voxel)) over a grid; `points(voxel, count)` gives the points of one vector.
template <Interpolation kind, int C, class PointsOf>
inline void sample_grid(Queue& queue, const float* volume, Extent m, Border border, Extent n, const PointsOf& points,
                        float* out) {
  const std::int64_t size = voxels(n);
  parallel_rows(queue, n, [=](std::int64_t begin, std::int64_t end) {
    const Source s = source(volume, m);
    for_vectors_of_rows(n, begin, end, [&](Voxel v, auto count) MMREG_INLINE_LAMBDA {
      Floats value[C];
      sample<kind>(s, border, points(v, count), value);
      for (int k = 0; k < C; ++k) store(out + k * size + v.index, value[k], count);
    });
  });
}

template <Interpolation kind, class PointsOf>
inline void sample_channels(Queue& queue, const float* volume, int channels, Extent m, Border border, Extent n,
                            const PointsOf& points, float* out) {
  int k = 0;
  for (; k + 3 <= channels; k += 3)
    sample_grid<kind, 3>(queue, volume + k * voxels(m), m, border, n, points, out + k * voxels(n));
  for (; k < channels; ++k)
    sample_grid<kind, 1>(queue, volume + k * voxels(m), m, border, n, points, out + k * voxels(n));
}

template <class PointsOf>
inline void sample_image(Queue& queue, const float* volume, int channels, Extent m, Interpolation kind, Border border,
                         Extent n, const PointsOf& points, float* out, std::uint8_t* valid) {
  if (kind == Interpolation::nearest)
    sample_channels<Interpolation::nearest>(queue, volume, channels, m, border, n, points, out);
  else if (kind == Interpolation::linear)
    sample_channels<Interpolation::linear>(queue, volume, channels, m, border, n, points, out);
  else
    sample_channels<Interpolation::cubic>(queue, volume, channels, m, border, n, points, out);
  if (valid)
    for_vectors(queue, n,
                [=](Voxel v, auto count) { store_flags(valid + v.index, inside(points(v, count), m), count); });
}

}  // namespace mmreg::MMREG_TARGET
