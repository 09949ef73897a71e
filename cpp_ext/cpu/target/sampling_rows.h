// Values at a vector of points that lie close together, as those of a smooth field do: two vectors of each row that the
// points touch are loaded and permuted, which is far cheaper than gathering each value from memory. The weight of a row
// is computed from its distance to each point, so that a row which a point does not touch weighs 0 there.
#pragma once
#include "core/interpolation.h"
#include "cpu/target/vectors.h"

namespace mmreg::MMREG_TARGET {

struct Points {  // in voxels of the sampled volume
  Floats z, y, x;
};

struct Source {  // the sampled volume; channels are `size` apart
  const float* data;
  Extent n;
  std::int64_t size;
  Floats last_z, last_y, last_x;
};

MMREG_INLINE Source source(const float* data, Extent n) {
  return {data, n, voxels(n), splat(float(n.d - 1)), splat(float(n.h - 1)), splat(float(n.w - 1))};
}

constexpr int window = 2 * lanes;  // columns of a row within reach of one permute

struct LinearRows {
  static constexpr int before = 0, taps = 2;  // the first row needed is `before` rows before the point rounded down

  static MMREG_INLINE Floats weight(Floats distance) { return max(1.0f - abs(distance), Floats{}); }
  static MMREG_INLINE int row(int i, int n) { return i < n ? i : n - 1; }
  static MMREG_INLINE void columns(Floats v, int n, Ints (&column)[2], Floats (&weight)[2]) {
    column[0] = min(truncate(v), splat(n - 2)), column[1] = column[0] + 1;
    weight[1] = v - to_floats(column[0]), weight[0] = 1.0f - weight[1];
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
struct Place {          // where in a volume a vector of points lies
  Ints column[taps];    // minus x0
  Floats weight[taps];  // of the columns
  Floats z, y;          // distance from the first row that is needed, along each axis
  int z0, y0, x0;       // that row, not yet clamped or mirrored, and the first column loaded
};

// Z x Y rows from the first that is needed.
template <class Kernel, int Z, int Y, int C, int taps>
MMREG_INLINE void add_rows(const Source& s, const Place<C, taps>& at, Floats (&value)[C]) {
  Floats y_weight[Y], sum[C][taps] = {};
  std::int64_t y_offset[Y];
  for (int j = 0; j < Y; ++j) {
    y_weight[j] = Kernel::weight(at.y - float(j));
    y_offset[j] = std::int64_t(Kernel::row(at.y0 + j, s.n.h)) * s.n.w + at.x0;
  }
#pragma GCC unroll 2
  for (int i = 0; i < Z; ++i) {
    const Floats z_weight = Kernel::weight(at.z - float(i));
    const float* plane = s.data + std::int64_t(Kernel::row(at.z0 + i, s.n.d)) * s.n.h * s.n.w;
#pragma GCC unroll 6
    for (int j = 0; j < Y; ++j) {
      const float* row = plane + y_offset[j];
      const Floats weight = z_weight * y_weight[j];
      for (int k = 0; k < C; ++k, row += s.size) {
        const Floats low = load(row), high = load(row + lanes);
        for (int t = 0; t < taps; ++t) sum[k][t] += weight * permute(low, high, at.column[t]);
      }
    }
  }
  for (int k = 0; k < C; ++k) {
    value[k] = sum[k][0] * at.weight[0];
    for (int t = 1; t < taps; ++t) value[k] += sum[k][t] * at.weight[t];
  }
}

// False, and no values, if the points are too far apart for this: their rows, rounded down, may differ by 1 from that
// of the first point. `c` is inside of the volume's box.
template <class Kernel, int C>
MMREG_INLINE bool sample_rows(const Source& s, const Points& c, Floats (&value)[C]) {
  constexpr int taps = Kernel::taps;
  if (s.n.w < window) return false;
  const Ints z = truncate(c.z), y = truncate(c.y), za = splat(z[0]), ya = splat(y[0]);
  Place<C, taps> at;
  at.x0 = int(c.x[0]) - Kernel::before - (lanes / 2 - 2);
  at.x0 = at.x0 < 0 ? 0 : (at.x0 > s.n.w - window ? s.n.w - window : at.x0);
  Kernel::columns(c.x, s.n.w, at.column, at.weight);
  Ints reach{};
  for (int i = 0; i < taps; ++i) at.column[i] -= at.x0, reach |= at.column[i];
  if (any_above(reach, window - 1) || any_above(z - za + 1, 2) || any_above(y - ya + 1, 2)) return false;

  const int z_back = any_below(z, za), z_ahead = any_below(za, z), y_back = any_below(y, ya),
            y_ahead = any_below(ya, y);
  at.z0 = z[0] - z_back - Kernel::before, at.y0 = y[0] - y_back - Kernel::before;
  at.z = c.z - float(at.z0), at.y = c.y - float(at.y0);
  const int more_z = z_back + z_ahead, more_y = y_back + y_ahead;
  if (more_z + more_y == 0)
    add_rows<Kernel, taps, taps>(s, at, value);
  else if (more_z == 0 && more_y == 1)
    add_rows<Kernel, taps, taps + 1>(s, at, value);
  else if (more_z == 1 && more_y == 0)
    add_rows<Kernel, taps + 1, taps>(s, at, value);
  else if (more_z < 2 && more_y < 2)
    add_rows<Kernel, taps + 1, taps + 1>(s, at, value);
  else
    add_rows<Kernel, taps + 2, taps + 2>(s, at, value);
  return true;
}

}  // namespace mmreg::MMREG_TARGET
