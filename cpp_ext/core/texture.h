// Weights of a neighbourhood of three voxels along an axis; an axis of one or two voxels is left alone.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct Stencil {
  float difference[3];  // second difference, scaled so that white noise keeps its standard deviation
  float mean[3];
};

MMREG_INLINE Stencil stencil(int length) {
  constexpr float unit = 0.40824829f, third = 1.0f / 3;  // 1 / sqrt(1 + 4 + 1)
  if (length < 3) return {{0, 1, 0}, {0, 1, 0}};
  return {{unit, -2 * unit, unit}, {third, third, third}};
}

MMREG_INLINE int within(int i, int length) { return i < 0 ? 0 : (i < length ? i : length - 1); }

}  // namespace mmreg::MMREG_TARGET
