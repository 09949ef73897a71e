// The two images of a deformable registration, on the grid of the fixed image.
#pragma once
#include <algorithm>

#include "ops/operations.h"

namespace mmreg {

struct DeformInput {  // does not own its memory, which is that of the operation table
  const float* fixed;
  const float* moving;
  const std::uint8_t* fixed_valid;   // 0 where the fixed image is excluded; null: nowhere
  const std::uint8_t* moving_valid;  // 0 where the moving image is excluded or was not scanned; null: nowhere
  Extent n;
  double spacing_mm[3];
  // Features of a network, which replace MIND-SSC on the levels after the search: (d, h, w, channels), channels a
  // multiple of 16 of which the levels write the last four; null: MIND-SSC.
  const Half* fixed_features;
  const Half* moving_features;
  int channels;
};

inline double finest(const double spacing_mm[3]) { return std::min({spacing_mm[0], spacing_mm[1], spacing_mm[2]}); }

}  // namespace mmreg
