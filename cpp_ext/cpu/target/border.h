// Extension of rows by their border values.
#pragma once
#include "core/border.h"

namespace mmreg::MMREG_TARGET {

// out[margin + x] = in[x], with `margin` border values on both sides; w + 2 margin values in total.
inline void extend_row(const float* in, int w, int margin, float* __restrict__ out) {
  for (int x = 0; x < margin; ++x) {
    out[x] = in[0];
    out[margin + w + x] = in[w - 1];
  }
  for (int x = 0; x < w; ++x) out[margin + x] = in[x];
}

}  // namespace mmreg::MMREG_TARGET
