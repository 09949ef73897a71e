// Voxels of a displacement and their neighbours along an axis. Floats: see core/sampling.h.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct Axis {                // neighbours of a voxel along an axis; a missing one is replaced by the voxel itself
  std::int64_t back, ahead;  // offsets of the neighbours
  float scale;               // reciprocal of their distance; 0 along an axis of 1
};

MMREG_INLINE Axis axis(int i, int n, std::int64_t stride) {
  const int back = i > 0, ahead = i + 1 < n;
  return {-back * stride, ahead * stride, back + ahead == 2 ? 0.5f : float(back + ahead)};
}

struct Around {
  Floats here, back, ahead;
};

template <class Count>
MMREG_INLINE Around around(const float* p, const Axis& a, Floats here, Count count) {
  return {here, load(p + a.back, count), load(p + a.ahead, count)};
}

MMREG_INLINE Floats central(const Around& a, Floats scale) { return (a.ahead - a.back) * scale; }

}  // namespace mmreg::MMREG_TARGET
