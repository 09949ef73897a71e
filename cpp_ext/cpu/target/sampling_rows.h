// Interpolation at a vector of points that are close together, as in a smooth field: loads two vectors of each row and
// permutes them, which is far cheaper than gathers. The weight of a row follows from its distance to each point, and is
// 0 for a row that the point does not use.
#pragma once
// clang-format off: the order of these headers matters
#include "cpu/target/vectors.h"
#include "core/sampling.h"
// clang-format on
namespace mmreg::MMREG_TARGET {

constexpr int kWindow = 2 * kLanes;  // columns of a row that one permute can reach

struct LinearRows {
  static constexpr int before = 0, taps = 2;  // the first row is `before` rows before the point rounded down

  static MMREG_INLINE Floats weight(Floats distance) { return max(1.0f - abs(distance), Floats{}); }
  static MMREG_INLINE int row(int i, int n) { return i < n ? i : n - 1; }
  static MMREG_INLINE void columns(Floats v, int n, Ints (&column)[2], Floats (&weight)[2]) {
    column[0] = min(truncate(v), splat(n - 2));
    column[1] = column[0] + 1;
    weight[1] = v - to_floats(column[0]);
    weight[0] = 1.0f - weight[1];
  }
};

struct CubicRows {
  static constexpr int before = 1, taps = 4;

  static MMREG_INLINE Floats weight(Floats distance) { return cubic_weight(abs(distance)); }
  static MMREG_INLINE int row(int i, int n) { return mirror(i, n); }
  static MMREG_INLINE void columns(Floats v, int n, Ints (&column)[4], Floats (&weight)[4]) {
    const Ints first = truncate(v);
    cubic_weights(v - to_floats(first), weight);
    for (int i = 0; i < 4; ++i) column[i] = mirror(first + (i - 1), n);
  }
};

template <int C, int taps>
struct Place {          // position of a vector of points in a volume
  Ints column[taps];    // column indices relative to x0
  Floats weight[taps];  // weights of the columns
  Floats z, y;          // distance from the first row along each axis
  int z0, y0, x0;       // first row, before clamping or mirroring, and first column
  int more_z, more_y;   // number of rows in addition to those of one point
};

template <int taps>
MMREG_INLINE Floats across(const Floats (&sum)[taps], const Floats (&weight)[taps]) {
  Floats value = sum[0] * weight[0];
  for (int t = 1; t < taps; ++t) value += sum[t] * weight[t];
  return value;
}

// Adds Z x Y rows from the first one. `narrow`: the columns of each tap lie in one vector.
template <class Kernel, bool narrow, int Z, int Y, class T, int C, int taps>
MMREG_INLINE void add_rows(const Source<T>& s, const Place<C, taps>& at, Floats (&value)[C]) {
  Floats y_weight[Y], sum[C][taps] = {};
  std::int64_t y_offset[Y];
  for (int j = 0; j < Y; ++j) {
    y_weight[j] = Kernel::weight(at.y - float(j));
    y_offset[j] = std::int64_t(Kernel::row(at.y0 + j, s.n.h)) * s.n.w + at.x0;
  }
#pragma GCC unroll 2
  for (int i = 0; i < Z; ++i) {
    const Floats z_weight = Kernel::weight(at.z - float(i));
    const T* plane = s.data + std::int64_t(Kernel::row(at.z0 + i, s.n.d)) * s.n.h * s.n.w;
#pragma GCC unroll 6
    for (int j = 0; j < Y; ++j) {
      const T* row = plane + y_offset[j];
      const Floats weight = z_weight * y_weight[j];
      for (int k = 0; k < C; ++k, row += s.size) {
        if constexpr (narrow) {
          for (int t = 0; t < taps; ++t) sum[k][t] += weight * permute(load(row + t), at.column[t]);
        } else {
          const Floats low = load(row), high = load(row + kLanes);
          for (int t = 0; t < taps; ++t) sum[k][t] += weight * permute(low, high, at.column[t]);
        }
      }
    }
  }
  for (int k = 0; k < C; ++k) value[k] = across(sum[k], at.weight);
}

// add_rows for any number of rows.
template <class Kernel, class T, int C, int taps>
MMREG_INLINE void add_many_rows(const Source<T>& s, const Place<C, taps>& at, int z_rows, int y_rows,
                                Floats (&value)[C]) {
  Floats sum[C][taps] = {};
  for (int i = 0; i < z_rows; ++i) {
    const Floats z_weight = Kernel::weight(at.z - float(i));
    const T* plane = s.data + std::int64_t(Kernel::row(at.z0 + i, s.n.d)) * s.n.h * s.n.w + at.x0;
    for (int j = 0; j < y_rows; ++j) {
      const T* row = plane + std::int64_t(Kernel::row(at.y0 + j, s.n.h)) * s.n.w;
      const Floats weight = z_weight * Kernel::weight(at.y - float(j));
      for (int k = 0; k < C; ++k, row += s.size) {
        const Floats low = load(row), high = load(row + kLanes);
        for (int t = 0; t < taps; ++t) sum[k][t] += weight * permute(low, high, at.column[t]);
      }
    }
  }
  for (int k = 0; k < C; ++k) value[k] = across(sum[k], at.weight);
}

template <class Kernel, bool narrow, class T, int C, int taps>
MMREG_INLINE void add_touched(const Source<T>& s, const Place<C, taps>& at, Floats (&value)[C]) {
  if (at.more_z + at.more_y == 0)
    add_rows<Kernel, narrow, taps, taps>(s, at, value);
  else if (at.more_z == 0 && at.more_y == 1)
    add_rows<Kernel, narrow, taps, taps + 1>(s, at, value);
  else if (at.more_z == 1 && at.more_y == 0)
    add_rows<Kernel, narrow, taps + 1, taps>(s, at, value);
  else if (at.more_z < 2 && at.more_y < 2)
    add_rows<Kernel, narrow, taps + 1, taps + 1>(s, at, value);
  else
    add_rows<Kernel, narrow, taps + 2, taps + 2>(s, at, value);
}

// Makes the columns of tap t start at x0 + t if they then fit into one vector, where that is the cheaper permute.
template <class T, int C, int taps>
MMREG_INLINE bool narrowed(const Source<T>& s, Place<C, taps>& at) {
  if (kLanes != 8) return false;
  const int by = at.column[0][0];
  Ints reach{};
  for (int t = 0; t < taps; ++t) reach |= at.column[t] - (by + t);
  if (at.x0 + by + taps - 1 + kLanes > s.n.w || any_above(reach, kLanes - 1)) return false;
  at.x0 += by;
  for (int t = 0; t < taps; ++t) at.column[t] -= by + t;
  return true;
}

template <class Kernel, int C, int taps>
MMREG_INLINE void set_rows(const Points& c, int z_first, int y_first, Place<C, taps>& at) {
  at.z0 = z_first - Kernel::before;
  at.y0 = y_first - Kernel::before;
  at.z = c.z - float(at.z0);
  at.y = c.y - float(at.y0);
}

constexpr int kMostRows = 6;  // additional rows; above this, gathers are cheaper

template <class Kernel, class T, int C, int taps>
MMREG_INLINE bool sample_spread(const Source<T>& s, const Points& c, Ints z, Ints y, Place<C, taps>& at,
                                Floats (&value)[C]) {
  const int z_first = smallest(z), y_first = smallest(y), more_z = largest(z) - z_first, more_y = largest(y) - y_first;
  if (more_z + more_y > kMostRows) return false;
  set_rows<Kernel>(c, z_first, y_first, at);
  add_many_rows<Kernel>(s, at, taps + more_z, taps + more_y, value);
  return true;
}

// Returns false, without values, if the points are too far apart. `c` lies in the volume's box.
template <class Kernel, class T, int C>
MMREG_INLINE bool sample_rows(const Source<T>& s, const Points& c, Floats (&value)[C]) {
  constexpr int taps = Kernel::taps;
  if (s.n.w < kWindow) return false;
  const Ints z = truncate(c.z), y = truncate(c.y), za = splat(z[0]), ya = splat(y[0]);
  Place<C, taps> at;
  at.x0 = int(c.x[0]) - Kernel::before - (kLanes / 2 - 2);
  at.x0 = at.x0 < 0 ? 0 : (at.x0 > s.n.w - kWindow ? s.n.w - kWindow : at.x0);
  Kernel::columns(c.x, s.n.w, at.column, at.weight);
  Ints reach{};
  for (int i = 0; i < taps; ++i) {
    at.column[i] -= at.x0;
    reach |= at.column[i];
  }
  if (any_above(reach, kWindow - 1)) return false;
  if (any_above(z - za + 1, 2) || any_above(y - ya + 1, 2)) return sample_spread<Kernel>(s, c, z, y, at, value);

  const int z_back = any_below(z, za), y_back = any_below(y, ya);
  at.more_z = z_back + any_below(za, z);
  at.more_y = y_back + any_below(ya, y);
  set_rows<Kernel>(c, z[0] - z_back, y[0] - y_back, at);
  if (narrowed(s, at))
    add_touched<Kernel, true>(s, at, value);
  else
    add_touched<Kernel, false>(s, at, value);
  return true;
}

}  // namespace mmreg::MMREG_TARGET
