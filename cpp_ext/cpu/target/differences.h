// A vector of voxels of a displacement and its neighbours along the three axes.
#pragma once
// clang-format off: the order of these headers matters
#include "cpu/target/vectors.h"
#include "core/differences.h"
// clang-format on

namespace mmreg::MMREG_TARGET {

// Returns the neighbours along a row of w voxels, of which `p` is voxel x.
template <class Count>
MMREG_INLINE Around around_in_row(const float* p, int x, int w, Floats here, Count count) {
  const Ints lane = lane_numbers();
  const Floats back = x > 0 ? load(p - 1, count) : permute(here, max(lane - 1, Ints{}));
  if (x + kLanes < w) return {here, back, load(p + 1)};
  const int last = w - 1 - x;
  return {here, back, lane == splat(last) ? here : load(p + 1, last)};
}

MMREG_INLINE Floats row_scale(int x, int w) {
  if (x > 0 && x + kLanes < w) return splat(0.5f);
  const Ints at = x + lane_numbers(), none = (at == splat(0)) | (at == splat(w - 1));
  return w == 1 ? Floats{} : none ? splat(1.0f) : splat(0.5f);
}

}  // namespace mmreg::MMREG_TARGET
