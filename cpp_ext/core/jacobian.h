// Jacobian determinant of the map p -> p + u(p) from the nine differences of u at a voxel. It is the same in voxels and
// in mm: the affine of the grid cancels.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

// g[c][a] is the difference of component c along axis a. `Real` is float, or a vector of floats.
template <class Real>
MMREG_INLINE Real determinant(const Real g[3][3]) {
  const Real a = 1.0f + g[0][0], e = 1.0f + g[1][1], i = 1.0f + g[2][2];
  return a * (e * i - g[1][2] * g[2][1]) - g[0][1] * (g[1][0] * i - g[1][2] * g[2][0]) +
         g[0][2] * (g[1][0] * g[2][1] - e * g[2][0]);
}

}  // namespace mmreg::MMREG_TARGET
