// Lengths of displacement vectors. `Real` is float, or a vector of floats.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

template <class Real>
MMREG_INLINE Real squared_length(Real z, Real y, Real x) {
  return z * z + y * y + x * x;
}

}  // namespace mmreg::MMREG_TARGET
