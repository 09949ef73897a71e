// Stretches of voxels in a row.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct Span {  // empty where end is not beyond begin
  std::int32_t begin, end;
};

// The shortest span that holds both.
MMREG_INLINE Span both(Span a, Span b) {
  if (a.begin >= a.end) return b;
  if (b.begin >= b.end) return a;
  return {a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

// A span and `margin` voxels on either side, in a row of w voxels.
MMREG_INLINE Span widened(Span s, int margin, int w) {
  if (s.begin >= s.end) return {0, 0};
  return {s.begin > margin ? s.begin - margin : 0, s.end + margin < w ? s.end + margin : w};
}

}  // namespace mmreg::MMREG_TARGET
