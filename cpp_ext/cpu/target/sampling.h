// Values of a volume at a vector of points.
//
// One definition for every interpolation and border: the value at the nearest point of the volume's box, times a fade
// that is 1 for `Border::extend`. For `Border::zero` the fade falls from 1 to 0 within one voxel outside the box, which
// for linear interpolation is what zeros around the volume give; nearest has a sharp edge half a voxel outside. A point
// that is not finite gives NaN.
#pragma once
#include "core/interpolation.h"
#include "cpu/target/vectors.h"
#include "solver/operations.h"

namespace mmreg::MMREG_TARGET {

struct Points {  // in voxels of the sampled volume
  Floats z, y, x;
};

MMREG_INLINE Floats clamp(Floats v, int n) { return min(max(v, Floats{}), splat(float(n - 1))); }  // NaN gives 0
MMREG_INLINE Points clamp(const Points& p, Extent n) { return {clamp(p.z, n.d), clamp(p.y, n.h), clamp(p.x, n.w)}; }

MMREG_INLINE Floats fade(Floats v, int n) { return max(min(splat(1.0f), min(1.0f + v, float(n) - v)), Floats{}); }
MMREG_INLINE Floats fade(const Points& p, Extent n) { return fade(p.z, n.d) * fade(p.y, n.h) * fade(p.x, n.w); }

// Points within half a voxel of the volume's box: the footprint of its voxels.
MMREG_INLINE Ints inside(Floats v, int n) { return (v >= -0.5f) & (v <= float(n) - 0.5f); }
MMREG_INLINE Ints inside(const Points& p, Extent n) { return inside(p.z, n.d) & inside(p.y, n.h) & inside(p.x, n.w); }

MMREG_INLINE Floats poison(const Points& p) { return 0.0f * (p.z + p.y + p.x); }  // 0, or NaN if not finite

MMREG_INLINE Ints row_start(Ints z, Ints y, Extent n) { return (z * n.h + y) * n.w; }

MMREG_INLINE Ints nearest_index(const Points& p, Extent n) {
  const Points c = clamp(p, n);  // first: the conversion to an index is only defined for what an index can hold
  return row_start(truncate(c.z + 0.5f), truncate(c.y + 0.5f), n) + truncate(c.x + 0.5f);
}

template <int C>
MMREG_INLINE void sample_linear(const float* volume, Extent n, const Points& c, Floats (&value)[C]) {
  const Ints z = truncate(c.z), y = truncate(c.y), x0 = truncate(c.x);
  const Ints x1 = min(x0 + 1, splat(n.w - 1)), z1 = min(z + 1, splat(n.d - 1)), y1 = min(y + 1, splat(n.h - 1));
  const Floats wz = c.z - to_floats(z), wy = c.y - to_floats(y), wx = c.x - to_floats(x0), vx = 1.0f - wx;
  const Ints row[4] = {row_start(z, y, n), row_start(z, y1, n), row_start(z1, y, n), row_start(z1, y1, n)};
  const Floats weight[4] = {(1.0f - wz) * (1.0f - wy), (1.0f - wz) * wy, wz * (1.0f - wy), wz * wy};
  for (int k = 0; k < C; ++k, volume += voxels(n)) {
    value[k] = Floats{};
    for (int r = 0; r < 4; ++r)
      value[k] += weight[r] * (vx * gather(volume, row[r] + x0) + wx * gather(volume, row[r] + x1));
  }
}

struct CubicAxis {  // indices and weights of the four coefficients along an axis
  Ints index[4];
  Floats weight[4];
};

MMREG_INLINE CubicAxis cubic_axis(Floats v, int n) {
  CubicAxis a;
  const Ints first = truncate(v);
  cubic_weights(v - to_floats(first), a.weight);
  for (int i = 0; i < 4; ++i) a.index[i] = mirror(first + (i - 1), n);
  return a;
}

template <int C>
MMREG_INLINE void sample_cubic(const float* coefficients, Extent n, const Points& c, Floats (&value)[C]) {
  const CubicAxis z = cubic_axis(c.z, n.d), y = cubic_axis(c.y, n.h), x = cubic_axis(c.x, n.w);
  for (int k = 0; k < C; ++k, coefficients += voxels(n)) {
    value[k] = Floats{};
    for (int a = 0; a < 4; ++a)
      for (int b = 0; b < 4; ++b) {
        const Ints row = row_start(z.index[a], y.index[b], n);
        Floats along = Floats{};
        for (int i = 0; i < 4; ++i) along += x.weight[i] * gather(coefficients, row + x.index[i]);
        value[k] += z.weight[a] * y.weight[b] * along;
      }
  }
}

// C channels at points p, with border and NaN as described above.
template <Interpolation kind, int C>
MMREG_INLINE void sample(const float* volume, Extent n, Border border, const Points& p, Floats (&value)[C]) {
  Floats factor = splat(1.0f);
  if constexpr (kind == Interpolation::nearest) {
    const Ints index = nearest_index(p, n);
    for (int k = 0; k < C; ++k) value[k] = gather(volume + k * voxels(n), index);
    if (border == Border::zero)
      for (int k = 0; k < C; ++k) value[k] = inside(p, n) ? value[k] : Floats{};
  } else {
    if constexpr (kind == Interpolation::linear) sample_linear(volume, n, clamp(p, n), value);
    if constexpr (kind == Interpolation::cubic) sample_cubic(volume, n, clamp(p, n), value);
    if (border == Border::zero) factor = fade(p, n);
  }
  const Floats nan = poison(p);
  for (int k = 0; k < C; ++k) value[k] = factor * value[k] + nan;
}

// out[channel][voxel] = volume(points(voxel)) over a grid; `points(voxel, count)` gives the points of one vector.
template <Interpolation kind, int C, class PointsOf>
inline void sample_grid(Queue& queue, const float* volume, Extent m, Border border, Extent n, const PointsOf& points,
                        float* out) {
  for_vectors(queue, n, [&](Voxel v, auto count) {
    Floats value[C];
    sample<kind>(volume, m, border, points(v, count), value);
    for (int k = 0; k < C; ++k) store(out + k * voxels(n) + v.index, value[k], count);
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
                [&](Voxel v, auto count) { store_flags(valid + v.index, inside(points(v, count), m), count); });
}

// The points p + u(p) of a displacement on grid n.
struct Displaced {
  const float* u;
  Extent n;
  template <class Count>
  MMREG_INLINE Points operator()(Voxel v, Count count) const {
    const float* p = u + v.index;
    return {float(v.z) + load(p, count), float(v.y) + load(p + voxels(n), count),
            to_floats(v.x + lane_numbers()) + load(p + 2 * voxels(n), count)};
  }
};

}  // namespace mmreg::MMREG_TARGET
