// A vector of voxels of a displacement and its neighbours along the three axes.
#pragma once
#include "cpu/target/vectors.h"

namespace mmreg::MMREG_TARGET {

struct Axis {                // neighbours of a voxel along an axis; one that does not exist is the voxel itself
  std::int64_t back, ahead;  // offsets
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

// Neighbours along the row: `p` is voxel x of a row of w.
template <class Count>
MMREG_INLINE Around around_in_row(const float* p, int x, int w, Floats here, Count count) {
  const Ints lane = lane_numbers();
  const Floats back = x > 0 ? load(p - 1, count) : permute(here, max(lane - 1, Ints{}));
  if (x + lanes < w) return {here, back, load(p + 1)};
  const int last = w - 1 - x;
  return {here, back, lane == splat(last) ? here : load(p + 1, last)};
}

MMREG_INLINE Floats row_scale(int x, int w) {
  if (x > 0 && x + lanes < w) return splat(0.5f);
  const Ints at = x + lane_numbers(), none = (at == splat(0)) | (at == splat(w - 1));
  return w == 1 ? Floats{} : none ? splat(1.0f) : splat(0.5f);
}

MMREG_INLINE Floats central(const Around& a, Floats scale) { return (a.ahead - a.back) * scale; }

}  // namespace mmreg::MMREG_TARGET
