// Contribution of one voxel to the contrast and the gradient of an image inside its foreground.
#pragma once
#include "core/detail_data.h"

namespace mmreg::MMREG_TARGET {

constexpr int kDetailRim = 3;  // voxels excluded at the edge of the foreground, which is not anatomical detail

struct Neighbour {
  std::int64_t back, ahead;
};

MMREG_INLINE Neighbour neighbour(int i, int n, std::int64_t stride, int distance) {
  return {(i > distance ? -distance : -i) * stride, (i + distance < n ? distance : n - 1 - i) * stride};
}

MMREG_INLINE float clipped(float v, const Foreground& f) { return v > f.low ? (v < f.high ? v : f.high) : f.low; }

// Adds voxel *p to d. `around`: the adjacent voxels along each axis; `far`: those kDetailRim voxels away.
MMREG_INLINE void add_detail(const float* p, const Neighbour around[3], const Neighbour far[3], const Foreground& f,
                             Detail& d) {
  if (!(*p > f.background)) return;
  for (int a = 0; a < 3; ++a)
    if (!(p[far[a].back] > f.background) || !(p[far[a].ahead] > f.background)) return;
  for (int a = 0; a < 3; ++a)
    if (p[around[a].back] != p[around[a].back] || p[around[a].ahead] != p[around[a].ahead]) return;  // NaN
  double slope[3];
  for (int a = 0; a < 3; ++a) {
    const double half = 0.5 * (double(clipped(p[around[a].ahead], f)) - double(clipped(p[around[a].back], f)));
    slope[a] = half * half;
  }
  const double here = clipped(*p, f);
  d.count += 1;
  d.sum += here;
  d.square += here * here;
  for (int a = 0; a < 3; ++a) d.slope[a] += slope[a];
}

MMREG_INLINE Detail joined(Detail a, const Detail& b) {
  a.count += b.count;
  a.sum += b.sum;
  a.square += b.square;
  for (int i = 0; i < 3; ++i) a.slope[i] += b.slope[i];
  return a;
}

}  // namespace mmreg::MMREG_TARGET
