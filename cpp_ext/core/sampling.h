// Interpolation of a volume at points. Floats and Ints are the types that a processor computes with: include the header
// that defines them first, cpu/target/simd.h (vectors) or cuda/lane.h (one point).
//
// One definition holds for every interpolation and border: the value at the nearest point of the volume's box. Unless
// the border extends, it fades into the outside value within one voxel outside the box; for linear interpolation this
// equals a volume padded with that value. Nearest has a sharp edge half a voxel outside. A point that is not finite
// gives NaN.
//
// The result is not finite exactly where a voxel (or the outside value) that is not finite has a weight of at least
// `kLeastWeight` in linear interpolation. A smaller weight is rounding of the position.
#pragma once
#include "core/interpolation.h"
#include "core/options.h"
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

constexpr float kLeastWeight = 1e-3f;
enum class Holds : int { any, finite };  // values that a volume may contain; a displacement is finite

struct Points {  // in voxels of the sampled volume
  Floats z, y, x;
};

template <class T>
struct Source {  // the sampled volume of float, Half or labels; `size` is the stride between channels
  const T* data;
  Extent n;
  std::int64_t size;
  Floats last_z, last_y, last_x;
};

template <class T>
MMREG_INLINE Source<T> source(const T* data, Extent n) {
  return {data, n, voxels(n), splat(float(n.d - 1)), splat(float(n.h - 1)), splat(float(n.w - 1))};
}

MMREG_INLINE Floats clamp(Floats v, Floats last) { return min(max(v, Floats{}), last); }  // NaN gives 0
template <class T>
MMREG_INLINE Points clamp(const Points& p, const Source<T>& s) {
  return {clamp(p.z, s.last_z), clamp(p.y, s.last_y), clamp(p.x, s.last_x)};
}

MMREG_INLINE Floats fade(Floats v, int n) { return max(min(splat(1.0f), min(1.0f + v, float(n) - v)), Floats{}); }
MMREG_INLINE Floats fade(const Points& p, Extent n) { return fade(p.z, n.d) * fade(p.y, n.h) * fade(p.x, n.w); }

// Returns a mask of the points in the footprint of the volume: within half a voxel of its box.
MMREG_INLINE Ints inside(Floats v, int n) { return (v >= -0.5f) & (v <= float(n) - 0.5f); }
MMREG_INLINE Ints inside(const Points& p, Extent n) { return inside(p.z, n.d) & inside(p.y, n.h) & inside(p.x, n.w); }

MMREG_INLINE Floats poison(const Points& p) { return 0.0f * p.z + 0.0f * p.y + 0.0f * p.x; }  // 0, or NaN if not finite

MMREG_INLINE Ints row_start(Ints z, Ints y, Extent n) { return (z * n.h + y) * n.w; }

template <class T>
MMREG_INLINE Ints nearest_index(const Points& p, const Source<T>& s) {
  const Points c = clamp(p, s);  // conversion to int is undefined out of range
  return row_start(truncate(c.z + 0.5f), truncate(c.y + 0.5f), s.n) + truncate(c.x + 0.5f);
}

template <int C, class T>
MMREG_INLINE void gather_linear(const Source<T>& s, const Points& c, Floats (&value)[C]) {
  const Ints z = truncate(c.z), y = truncate(c.y), x = max(min(truncate(c.x), splat(s.n.w - 2)), Ints{});
  const Ints z1 = min(z + 1, splat(s.n.d - 1)), y1 = min(y + 1, splat(s.n.h - 1));
  const Floats wz = c.z - to_floats(z), wy = c.y - to_floats(y), wx = c.x - to_floats(x);
  const Ints start[4] = {row_start(z, y, s.n) + x, row_start(z, y1, s.n) + x, row_start(z1, y, s.n) + x,
                         row_start(z1, y1, s.n) + x};
  const Floats weight[4] = {(1.0f - wz) * (1.0f - wy), (1.0f - wz) * wy, wz * (1.0f - wy), wz * wy};
  const T* volume = s.data;
  for (int k = 0; k < C; ++k, volume += s.size) {
    Floats low = Floats{}, high = Floats{};
    for (int r = 0; r < 4; ++r) {
      const NextTo pair = s.n.w > 1 ? gather_pairs(volume, start[r]) : NextTo{gather(volume, start[r]), Floats{}};
      low += weight[r] * pair.low;
      high += weight[r] * pair.high;
    }
    value[k] = (1.0f - wx) * low + wx * high;
  }
}

// gather_linear for a value that is not finite: skips voxels that are not finite and have less than kLeastWeight.
template <class T>
MMREG_FUNCTION Floats counted_linear(const T* volume, Extent n, const Points& c) {
  const Ints z = truncate(c.z), y = truncate(c.y), x = truncate(c.x);
  const Floats wz = c.z - to_floats(z), wy = c.y - to_floats(y), wx = c.x - to_floats(x);
  Floats sum = Floats{}, total = Floats{};
  for (int corner = 0; corner < 8; ++corner) {
    const bool high_z = corner & 4, high_y = corner & 2, high_x = corner & 1;
    const Ints at = row_start(high_z ? min(z + 1, splat(n.d - 1)) : z, high_y ? min(y + 1, splat(n.h - 1)) : y, n) +
                    (high_x ? min(x + 1, splat(n.w - 1)) : x);
    const Floats weight = (high_z ? wz : 1.0f - wz) * (high_y ? wy : 1.0f - wy) * (high_x ? wx : 1.0f - wx);
    const Floats voxel = gather(volume, at);
    const auto counts = (voxel - voxel == Floats{}) | (weight >= kLeastWeight);
    sum += counts ? weight * voxel : Floats{};
    total += counts ? weight : Floats{};
  }
  return sum / total;
}

template <int C, class T>
MMREG_INLINE void recount_linear(const Source<T>& s, const Points& c, Floats (&value)[C]) {
  const T* volume = s.data;
  for (int k = 0; k < C; ++k, volume += s.size) {
    const Floats known = value[k] - value[k];
    if (__builtin_expect(differ(known, Floats{}), 0))
      value[k] = known == Floats{} ? value[k] : counted_linear(volume, s.n, c);
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

template <int C, class T>
MMREG_INLINE void gather_cubic(const Source<T>& s, const Points& c, Floats (&value)[C]) {
  const CubicAxis z = cubic_axis(c.z, s.n.d), y = cubic_axis(c.y, s.n.h), x = cubic_axis(c.x, s.n.w);
  const T* coefficients = s.data;
  for (int k = 0; k < C; ++k, coefficients += s.size) {
    value[k] = Floats{};
    for (int a = 0; a < 4; ++a)
      for (int b = 0; b < 4; ++b) {
        const Ints row = row_start(z.index[a], y.index[b], s.n);
        Floats along = Floats{};
        for (int i = 0; i < 4; ++i) along += x.weight[i] * gather(coefficients, row + x.index[i]);
        value[k] += z.weight[a] * y.weight[b] * along;
      }
  }
}

// Interpolates C channels at points p, whose nearest points in the box are c.
template <Interpolation kind, int C, class T>
MMREG_INLINE void gather_values(const Source<T>& s, const Points& p, const Points& c, Floats (&value)[C]) {
  if constexpr (kind == Interpolation::nearest) {
    const Ints index = nearest_index(p, s);
    for (int k = 0; k < C; ++k) value[k] = gather(s.data + k * s.size, index);
  }
  if constexpr (kind == Interpolation::linear) gather_linear(s, c, value);
  if constexpr (kind == Interpolation::cubic) gather_cubic(s, c, value);
}

// Returns share * value + (1 - share) * outside. An input that is not finite counts from kLeastWeight on.
MMREG_INLINE Floats blended(Floats value, Floats outside, Floats share) {
  const Floats blend = share * value + (1.0f - share) * outside;
  const Floats counted = share < kLeastWeight ? outside : (share > 1.0f - kLeastWeight ? value : blend);
  return blend - blend == Floats{} ? blend : counted;
}

// Applies the outside value to points outside the box, and NaN to points that are not finite.
template <Interpolation kind, int C, class T>
MMREG_INLINE void apply_border(const Source<T>& s, const Outside& outside, const Points& p, Floats (&value)[C]) {
  const Floats nan = poison(p);
  const Floats beyond = splat(outside.stored ? *outside.stored : outside.value);
  for (int k = 0; k < C; ++k) {
    if (!outside.extends && kind == Interpolation::nearest) value[k] = inside(p, s.n) ? value[k] : beyond;
    if (!outside.extends && kind != Interpolation::nearest) value[k] = blended(value[k], beyond, fade(p, s.n));
    value[k] += nan;
  }
}

// The points p + u(p) of a displacement on grid n.
struct Displaced {
  static constexpr int components = 3;
  const float* u;
  std::int64_t size;  // stride between components
  template <class Count>
  MMREG_INLINE Points operator()(Voxel v, Count count) const {
    const float* p = u + v.index;
    return {float(v.z) + load(p, count), float(v.y) + load(p + size, count),
            to_floats(v.x + lane_numbers()) + load(p + 2 * size, count)};
  }
};

MMREG_INLINE Displaced displaced(Displacement u) { return {u.data, voxels(u.n)}; }

// `Displaced` for 2-D: u has no component normal to the plane.
struct DisplacedInPlane {
  static constexpr int components = 2;
  const float* u;
  std::int64_t size;  // stride between components
  template <class Count>
  MMREG_INLINE Points operator()(Voxel v, Count count) const {
    const float* p = u + v.index;
    return {splat(float(v.z)), float(v.y) + load(p, count), to_floats(v.x + lane_numbers()) + load(p + size, count)};
  }
};

// The points A (z, y, x) + b. The first point of a vector is computed in double, the others by steps along the row.
struct Mapped {
  double map[12];  // 3 x 4 row-major, rows z, y, x
  MMREG_INLINE Floats along(const double* a, const Voxel& v) const {
    return float(a[0] * v.z + a[1] * v.y + a[2] * v.x + a[3]) + float(a[2]) * to_floats(lane_numbers());
  }
  template <class Count>
  MMREG_INLINE Points operator()(const Voxel& v, Count) const {
    return {along(map, v), along(map + 4, v), along(map + 8, v)};
  }
};

inline Mapped mapped(const double* map) {
  Mapped points;
  for (int i = 0; i < 12; ++i) points.map[i] = map[i];
  return points;
}

}  // namespace mmreg::MMREG_TARGET
