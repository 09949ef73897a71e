// The voxels that a trilinear sample is made of along one axis, their weights, and how these change with the point:
// what the derivatives of a warp need. The sample itself is core/sampling.h.
#pragma once
#include "core/options.h"
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct Corner {  // of the two along an axis
  int index;     // of a voxel that exists
  float weight;  // 0 if the corner does not
  float slope;   // of the weight
};

// Corners of a point at x on an axis of n. Border::extend takes the nearest point of the box, where a point outside, or
// on its edge, does not move the sample. A point that is not finite has no corners.
MMREG_INLINE void corners(float x, int n, Border border, Corner (&c)[2]) {
  const float top = float(n - 1);
  const bool extend = border == Border::extend, inside = x > 0.0f && x < top;
  float held = x;
  if (extend) held = x > 0.0f ? (x < top ? x : top) : 0.0f;
  const bool known = held > -1.0f && held < float(n);  // else no voxel is near
  int low = known ? int(held + 1.0f) - 1 : 0;          // rounded down, also below 0
  if (extend && low > n - 2) low = n > 1 ? n - 2 : 0;
  const float t = known ? held - float(low) : 0.0f;
  MMREG_UNROLL
  for (int k = 0; k < 2; ++k) {
    const int i = low + k;
    const bool there = known && i >= 0 && i < n;
    c[k].index = i < 0 ? 0 : i < n ? i : n - 1;
    c[k].weight = there ? (k ? t : 1.0f - t) : 0.0f;
    c[k].slope = there && (!extend || inside) ? (k ? 1.0f : -1.0f) : 0.0f;
  }
}

// A weight of 0 leaves a value out, whatever it is: 0 times NaN or infinity would not.
MMREG_INLINE float weighed(float weight, float value) { return weight != 0 ? weight * value : 0.0f; }

struct Corners {
  Corner z[2], y[2], x[2];
};

MMREG_INLINE Corners corners(float z, float y, float x, Extent n, Border border) {
  Corners c;
  corners(z, n.d, border, c.z);
  corners(y, n.h, border, c.y);
  corners(x, n.w, border, c.x);
  return c;
}

// body(index, weight, slope): of each of the eight voxels, its index, its weight, and how that changes along each axis.
template <class Body>
MMREG_INLINE void for_corners(const Corners& c, Extent n, const Body& body) {
  MMREG_UNROLL
  for (int corner = 0; corner < 8; ++corner) {
    const Corner &z = c.z[corner >> 2], &y = c.y[corner >> 1 & 1], &x = c.x[corner & 1];
    const float zy = z.weight * y.weight, zx = z.weight * x.weight, yx = y.weight * x.weight;
    const float slope[3] = {z.slope * yx, y.slope * zx, x.slope * zy};
    body((std::int64_t(z.index) * n.h + y.index) * n.w + x.index, zy * x.weight, slope);
  }
}

}  // namespace mmreg::MMREG_TARGET
