// Candidate displacements of the dense search and their coupled cost (Heinrich, Papiez, Schnabel, Handels, WBIR 2014):
// cost + weight |displacement - u|^2.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct Move {  // cells along axes 0, 1, 2
  int z, y, x;
};

struct Window {  // candidate displacements, z slowest
  int r[3];

  MMREG_INLINE int side(int axis) const { return 2 * r[axis] + 1; }
  MMREG_INLINE int count() const { return side(0) * side(1) * side(2); }
  MMREG_INLINE Move move(int k) const {
    return {k / (side(1) * side(2)) - r[0], k / side(2) % side(1) - r[1], k % side(2) - r[2]};
  }
};

// The penalty is penalty_square(move) + penalty_slope . move, up to a constant per cell.
MMREG_INLINE float penalty_square(float weight, const Move& m) {
  return weight * float(m.z * m.z + m.y * m.y + m.x * m.x);
}
MMREG_INLINE float penalty_slope(float weight, float u) { return -2 * weight * u; }

// `Real` is a float, or a vector of displacements.
template <class Real>
MMREG_INLINE Real coupled_cost(Real cost, Real square, Real z, Real y, Real x, const float slope[3]) {
  const Real linear = z * slope[0] + (y * slope[1] + x * slope[2]);
  return cost + (square + linear);
}

}  // namespace mmreg::MMREG_TARGET
