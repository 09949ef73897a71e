// Detects where a displacement folds, one voxel at a time, and computes the local mean that replaces it: averaging
// flattens the difference quotients that cause a fold. Include differences.h of the processor first.
#pragma once
#include "core/jacobian.h"

namespace mmreg::MMREG_TARGET {

struct Axes {  // the neighbours of a voxel
  Axis along[3];
};

MMREG_INLINE Axes axes(int z, int y, int x, Extent n) {
  return {{axis(z, n.d, std::int64_t(n.h) * n.w), axis(y, n.h, n.w), axis(x, n.w, 1)}};
}

MMREG_INLINE float steeper(float a, float b) { return a > b || !(a == a) ? a : b; }  // NaN is the steepest

// Returns the sum over the axes of the larger of |forward| and |backward difference| of a component at its voxel *c.
// The maximum over the components bounds the eigenvalues of all nine matrices: if it is below 1 - t, every determinant
// exceeds t^3 (Gershgorin).
MMREG_INLINE float steepness(const float* c, const Axes& axes) {
  float sum = 0;
  for (int a = 0; a < 3; ++a) {
    const float b = __builtin_fabsf(c[0] - c[axes.along[a].back]), f = __builtin_fabsf(c[axes.along[a].ahead] - c[0]);
    sum += steeper(b, f);
  }
  return sum;
}

// Returns the steepness below which every determinant exceeds `floor`.
inline float gentle(float floor) { return 1 - __builtin_cbrtf(floor > 0 ? floor : 0) - 1e-3f; }

// Returns the smallest of the nine determinants at voxel *p of u, or NaN if one is NaN. At a border the existing
// one-sided difference replaces the missing one.
MMREG_INLINE float smallest_determinant(const float* p, std::int64_t size, const Axes& axes) {
  float side[2][3][3], middle[3][3];
  for (int a = 0; a < 3; ++a) {
    const std::int64_t back = axes.along[a].back, ahead = axes.along[a].ahead;
    for (int k = 0; k < 3; ++k) {
      const float* const c = p + k * size;
      const float b = c[0] - c[back], f = c[ahead] - c[0];
      side[0][k][a] = back ? b : f;
      side[1][k][a] = ahead ? f : b;
      middle[k][a] = 0.5f * (side[0][k][a] + side[1][k][a]);
    }
  }
  float least = determinant(middle);
  for (int s = 0; s < 8; ++s) {
    float g[3][3];
    for (int k = 0; k < 3; ++k)
      for (int a = 0; a < 3; ++a) g[k][a] = side[s >> a & 1][k][a];
    const float d = determinant(g);
    least = d < least || !(d == d) ? d : least;
  }
  return least;
}

struct Box {
  int z0, z1, y0, y1, x0, x1;
};

MMREG_INLINE Box box_around(int z, int y, int x, int r, Extent n) {
  const auto low = [](int i) { return i > 0 ? i : 0; };
  const auto high = [](int i, int m) { return i < m ? i : m - 1; };
  return {low(z - r), high(z + r, n.d), low(y - r), high(y + r, n.h), low(x - r), high(x + r, n.w)};
}

MMREG_INLINE void mean_around(const float* u, Extent n, int z, int y, int x, float* out) {
  const Box b = box_around(z, y, x, 1, n);
  float sum[3] = {};
  for (int k = b.z0; k <= b.z1; ++k)
    for (int j = b.y0; j <= b.y1; ++j)
      for (int i = b.x0; i <= b.x1; ++i)
        for (int c = 0; c < 3; ++c) sum[c] += u[c * voxels(n) + (std::int64_t(k) * n.h + j) * n.w + i];
  const float share = 1.0f / float((b.z1 - b.z0 + 1) * (b.y1 - b.y0 + 1) * (b.x1 - b.x0 + 1));
  for (int c = 0; c < 3; ++c) out[c] = sum[c] * share;
}

constexpr int smoothing_radius(int round) { return 1 + round / 4; }  // voxels around a fold that are averaged

}  // namespace mmreg::MMREG_TARGET
