// The border of filters: outside of the image is its border value.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

MMREG_INLINE int inside(int i, int n) { return i < 0 ? 0 : i < n ? i : n - 1; }

// out[margin + x] = in[x], with `margin` border values on both sides: w + 2 margin values.
inline void extend_row(const float* in, int w, int margin, float* __restrict__ out) {
  for (int x = 0; x < margin; ++x) out[x] = in[0], out[margin + w + x] = in[w - 1];
  for (int x = 0; x < w; ++x) out[margin + x] = in[x];
}

}  // namespace mmreg::MMREG_TARGET
