// Ranges of voxels in a row.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct Span {  // [begin, end), empty unless begin < end
  std::int32_t begin, end;
};

// Returns the shortest span that contains both.
MMREG_INLINE Span both(Span a, Span b) {
  if (a.begin >= a.end) return b;
  if (b.begin >= b.end) return a;
  return {a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

// Returns the span extended by `margin` voxels on either side, inside a row of w voxels.
MMREG_INLINE Span widened(Span s, int margin, int w) {
  if (s.begin >= s.end) return {0, 0};
  return {s.begin > margin ? s.begin - margin : 0, s.end + margin < w ? s.end + margin : w};
}

}  // namespace mmreg::MMREG_TARGET
