// Trilinear value and gradient from the eight corners of a cell. `Real` is float or a vector of channels.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

template <class Real>
struct Slope {
  Real value, along[3];  // derivative along axes 0, 1, 2, per voxel
};

// c[4 * k + 2 * j + i] is the corner at (k, j, i); t[a] in [0, 1] is the position along axis a.
template <class Real>
MMREG_INLINE Slope<Real> trilinear_slope(const Real c[8], const float t[3]) {
  const Real s0 = c[1] - c[0], s1 = c[3] - c[2], s2 = c[5] - c[4], s3 = c[7] - c[6];
  const Real r0 = c[0] + t[2] * s0, r1 = c[2] + t[2] * s1, r2 = c[4] + t[2] * s2, r3 = c[6] + t[2] * s3;
  const Real y0 = r1 - r0, y1 = r3 - r2;
  const Real p0 = r0 + t[1] * y0, p1 = r2 + t[1] * y1, z = p1 - p0;
  const Real q0 = s0 + t[1] * (s1 - s0), q1 = s2 + t[1] * (s3 - s2);
  return {p0 + t[0] * z, {z, y0 + t[0] * (y1 - y0), q0 + t[0] * (q1 - q0)}};
}

struct Cell {              // cell around a clamped coordinate along one axis
  std::int64_t low, step;  // offset of the lower neighbour; step to the upper one, 0 on an axis of 1
  float t, inside;         // position in the cell; 0 if the coordinate was clamped, else 1
};

MMREG_INLINE Cell cell(float x, int n, std::int64_t stride) {
  const float top = float(n - 1), y = x > 0.0f ? (x < top ? x : top) : 0.0f;  // NaN becomes 0
  int i = int(y);
  i = i < n - 2 ? i : n - 2;
  i = i > 0 ? i : 0;
  return {i * stride, n > 1 ? stride : 0, y - float(i), y == x ? 1.0f : 0.0f};
}

}  // namespace mmreg::MMREG_TARGET
