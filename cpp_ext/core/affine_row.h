// One component of linear u(p) + map (p, 1) along a row of voxels.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct AffineRow {
  float linear[3];     // factors of the components of u
  float start, slope;  // map (p, 1) at the first voxel of the row, and its increment per voxel

  MMREG_INLINE float operator()(float z, float y, float x, float at) const {
    return linear[0] * z + linear[1] * y + linear[2] * x + (start + slope * at);
  }
};

struct AffineRows {  // coefficients of one component that all rows share; offsets in double
  float linear[3], slope;
  double by_z, by_y, offset;

  MMREG_INLINE AffineRow row(int z, int y) const {
    return {{linear[0], linear[1], linear[2]}, float(by_z * z + by_y * y + offset), slope};
  }
};

// `linear` is 3 x 3 and `map` 3 x 4, both row-major.
inline AffineRows affine_rows(const double* linear, const double* map, int component) {
  const double *a = linear + 3 * component, *b = map + 4 * component;
  return {{float(a[0]), float(a[1]), float(a[2])}, float(b[2]), b[0], b[1], b[3]};
}

}  // namespace mmreg::MMREG_TARGET
