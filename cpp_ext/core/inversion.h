// The inverse of p -> p + u(p) at points p, by the fixed-point iteration v <- -u(p + v) (Chen, Lu, Chen, et al.: A
// simple fixed-point approach to invert a deformation field, Medical Physics 35, 2008). It contracts only where
// |du/dp| < 1; the few points where it is slow or diverges use damped Newton steps on the piecewise trilinear u, in
// double precision. Floats: see core/sampling.h.
#pragma once
#include "core/length.h"
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct Inverse {  // displacement v and its squared residual
  Floats v[3], residual;
};

MMREG_INLINE Floats residual(const Floats v[3], const Floats value[3]) {
  return squared_length(v[0] + value[0], v[1] + value[1], v[2] + value[2]);
}

// evaluate(v, value) sets value to u(p + v). Returns the best iterate. Stops when all points are within the tolerance,
// or when no point halves its residual. v and the residual are NaN where u is not finite at any iterate.
template <class Evaluate>
MMREG_INLINE Inverse fixed_point(const Evaluate& evaluate, int iterations, float tolerance) {
  Floats v[3] = {}, value[3];
  evaluate(v, value);
  Inverse best = {{v[0], v[1], v[2]}, residual(v, value)};
  const Floats enough = splat(tolerance * tolerance);
  for (int i = 0; i < iterations && any(best.residual > enough); ++i) {
    for (int k = 0; k < 3; ++k) v[k] = -value[k];
    evaluate(v, value);
    const Floats now = residual(v, value), before = best.residual;
    const Ints better = now < before;
    for (int k = 0; k < 3; ++k) best.v[k] = better ? v[k] : best.v[k];
    best.residual = min(now, before);
    if (!any((now < 0.25f * before) & (before > enough))) break;
  }
  const Floats unknown = 0.0f * best.residual;  // 0, or NaN
  for (int k = 0; k < 3; ++k) best.v[k] += unknown;
  best.residual += unknown;
  return best;
}

// Returns the larger of two residuals, or NaN if either is NaN.
MMREG_INLINE float worse(float a, float b) { return a > b || !(a == a) ? a : b; }

struct Slope {  // u at a point and its derivative
  double u[3], du[3][3];
};

MMREG_INLINE void neighbours(double x, int n, int& low, int& high, double& t, bool& free) {
  free = n > 1 && x > 0 && x < n - 1;                              // u is constant outside the grid: slope 0
  const double c = x > 0 ? (x < n - 1 ? x : double(n - 1)) : 0.0;  // NaN gives 0
  low = int(c) < n - 2 ? int(c) : (n > 1 ? n - 2 : 0);
  high = n > 1 ? low + 1 : 0;
  t = c - low;
}

MMREG_FUNCTION Slope slope(const float* u, Extent n, const double p[3]) {
  const int size[3] = {n.d, n.h, n.w};
  const std::int64_t stride[3] = {std::int64_t(n.h) * n.w, n.w, 1};
  std::int64_t offset[3][2];
  double weight[3][2], edge[3][2];
  for (int a = 0; a < 3; ++a) {
    int low, high;
    double t;
    bool free;
    neighbours(p[a], size[a], low, high, t, free);
    offset[a][0] = low * stride[a];
    offset[a][1] = high * stride[a];
    weight[a][0] = 1 - t;
    weight[a][1] = t;
    edge[a][0] = free ? -1 : 0;
    edge[a][1] = free ? 1 : 0;
  }
  Slope s = {};
  for (int corner = 0; corner < 8; ++corner) {
    const int i = corner >> 2, j = corner >> 1 & 1, k = corner & 1;
    const float* at = u + offset[0][i] + offset[1][j] + offset[2][k];
    const double w = weight[0][i] * weight[1][j] * weight[2][k], wz = edge[0][i] * weight[1][j] * weight[2][k],
                 wy = weight[0][i] * edge[1][j] * weight[2][k], wx = weight[0][i] * weight[1][j] * edge[2][k];
    for (int c = 0; c < 3; ++c) {
      const double value = at[c * voxels(n)];
      const double from[4] = {w, wz, wy, wx};
      double* const to[4] = {&s.u[c], &s.du[c][0], &s.du[c][1], &s.du[c][2]};
      for (int k = 0; k < 4; ++k)
        if (from[k] != 0) *to[k] += from[k] * value;  // 0 times NaN would be NaN
    }
  }
  return s;
}

// Solves (I + du) step = f. Returns false if the matrix is nearly singular.
MMREG_FUNCTION bool newton_step(const double du[3][3], const double f[3], double step[3]) {
  double m[3][3];
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) m[i][j] = du[i][j] + (i == j);
  const auto minor = [&](int a, int b, int c, int d) { return m[a][c] * m[b][d] - m[a][d] * m[b][c]; };
  const double x = minor(1, 2, 1, 2), y = minor(1, 2, 0, 2), z = minor(1, 2, 0, 1);
  const double det = m[0][0] * x - m[0][1] * y + m[0][2] * z;
  if (!(det > 1e-6 || det < -1e-6)) return false;
  step[0] = (f[0] * x - f[1] * minor(0, 2, 1, 2) + f[2] * minor(0, 1, 1, 2)) / det;
  step[1] = (-f[0] * y + f[1] * minor(0, 2, 0, 2) - f[2] * minor(0, 1, 0, 2)) / det;
  step[2] = (f[0] * z - f[1] * minor(0, 2, 0, 1) + f[2] * minor(0, 1, 0, 1)) / det;
  return true;
}

MMREG_FUNCTION double residual(const Slope& s, const double v[3], double f[3]) {
  double square = 0;
  for (int c = 0; c < 3; ++c) {
    f[c] = v[c] + s.u[c];
    square += f[c] * f[c];
  }
  return square;
}

// Improves v towards v + u(p + v) = 0. Returns the squared residual, which never exceeds that of the initial v.
MMREG_FUNCTION double invert_point(const float* u, Extent n, const double p[3], int iterations, double tolerance,
                                   double v[3]) {
  const auto evaluate = [&](const double at[3], double f[3], Slope& s) {
    const double q[3] = {p[0] + at[0], p[1] + at[1], p[2] + at[2]};
    s = slope(u, n, q);
    return residual(s, at, f);
  };
  Slope here, next;
  double f[3], step[3], trial[3], g[3], best = evaluate(v, f, here);
  for (int i = 0; i < iterations && best > tolerance * tolerance; ++i) {
    if (!newton_step(here.du, f, step))
      for (int c = 0; c < 3; ++c) step[c] = f[c];  // fixed-point step
    double length = 1, square = best;
    for (; length > 1e-3; length *= 0.5) {
      for (int c = 0; c < 3; ++c) trial[c] = v[c] - length * step[c];
      square = evaluate(trial, g, next);
      if (square < best) break;
    }
    if (!(square < best)) break;
    best = square;
    here = next;
    for (int c = 0; c < 3; ++c) {
      v[c] = trial[c];
      f[c] = g[c];
    }
  }
  return best;
}

}  // namespace mmreg::MMREG_TARGET
