// The block of voxels averaged into one voxel of a pooled image.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct BlockSpan {  // voxels [begin, end) along one axis
  int begin, end;

  MMREG_INLINE int length() const { return end - begin; }
};

MMREG_INLINE BlockSpan block_span(int i, int factor, int n) {
  return {i * factor, (i + 1) * factor < n ? (i + 1) * factor : n};
}

MMREG_INLINE Extent pooled(Extent n, const int f[3]) {
  return {(n.d + f[0] - 1) / f[0], (n.h + f[1] - 1) / f[1], (n.w + f[2] - 1) / f[2]};
}

}  // namespace mmreg::MMREG_TARGET
