// The nine Jacobian determinants of a displacement: from central differences, and from the eight combinations of
// one-sided differences. The piecewise linear map of the voxels' corners is one to one if all eight are positive;
// central differences alone can miss folds. Liu, Chen, Wei, et al.: On finite difference Jacobian computation in
// deformable image registration, IJCV 2024. Floats: see core/sampling.h. Include differences.h of the processor first.
#pragma once
#include "core/jacobian.h"

namespace mmreg::MMREG_TARGET {

struct Column {  // column of the Jacobian of p + u(p) by one-sided differences
  Floats c[3];
};

MMREG_INLINE Floats dot(const Column& a, const Column& b) {
  return a.c[0] * b.c[0] + a.c[1] * b.c[1] + a.c[2] * b.c[2];
}
MMREG_INLINE Column cross(const Column& a, const Column& b) {
  return {{a.c[1] * b.c[2] - a.c[2] * b.c[1], a.c[2] * b.c[0] - a.c[0] * b.c[2], a.c[0] * b.c[1] - a.c[1] * b.c[0]}};
}

struct Differences {
  Floats middle[3][3];  // central: of a component along an axis
  Column side[3][2];    // along an axis, backward and forward

  // Component k and its neighbours along axis a.
  MMREG_INLINE void put(int k, int a, const Around& v, Floats scale) {
    const float one = a == k;
    middle[k][a] = central(v, scale);
    side[a][0].c[k] = one + (v.here - v.back);
    side[a][1].c[k] = one + (v.ahead - v.here);
  }
};

// use(i, determinant) for the nine of them, numbered as in Folding; use(1 + 4a + 2b + c, ...) is for sides a, b, c.
template <class Use>
MMREG_INLINE void determinants(const Differences& d, const Use& use) {
  use(0, determinant(d.middle));
  for (int b = 0; b < 2; ++b)
    for (int c = 0; c < 2; ++c) {
      const Column yx = cross(d.side[1][b], d.side[2][c]);
      for (int a = 0; a < 2; ++a) use(1 + 4 * a + 2 * b + c, dot(d.side[0][a], yx));
    }
}

}  // namespace mmreg::MMREG_TARGET
