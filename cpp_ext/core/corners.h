// Indices and weights of the eight voxels of a trilinear sample, and the derivatives of the weights, for the gradients
// of a warp. The forward interpolation is in core/sampling.h.
#pragma once
#include "core/options.h"
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct Corner {  // one of the two neighbours along an axis
  int index;     // of a voxel inside the grid
  float weight;  // 0 if the corner lies outside the grid
  float slope;   // derivative of the weight
};

// Computes the corners of a point at x on an axis of n voxels. Border::extend uses the nearest point of the box: the
// slope of a point outside the box, or on its edge, is 0. All weights of a point that is not finite are 0.
MMREG_INLINE void corners(float x, int n, Border border, Corner (&c)[2]) {
  const float top = float(n - 1);
  const bool extend = border == Border::extend, inside = x > 0.0f && x < top;
  float position = x;
  if (extend) position = x > 0.0f ? (x < top ? x : top) : 0.0f;
  const bool known = position > -1.0f && position < float(n);  // within one voxel of the grid
  int low = known ? int(position + 1.0f) - 1 : 0;              // rounds down, also below 0
  if (extend && low > n - 2) low = n > 1 ? n - 2 : 0;
  const float t = known ? position - float(low) : 0.0f;
  MMREG_UNROLL
  for (int k = 0; k < 2; ++k) {
    const int i = low + k;
    const bool exists = known && i >= 0 && i < n;
    c[k].index = i < 0 ? 0 : i < n ? i : n - 1;
    c[k].weight = exists ? (k ? t : 1.0f - t) : 0.0f;
    c[k].slope = exists && (!extend || inside) ? (k ? 1.0f : -1.0f) : 0.0f;
  }
}

// Returns weight * value, and 0 for a weight of 0 even if the value is NaN or infinite.
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

// Calls body(index, weight, slope) for each of the eight voxels; slope[a] is the derivative of the weight along axis a.
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
