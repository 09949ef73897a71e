// The two images of a deformable registration, on the grid of the fixed one.
#pragma once
#include <algorithm>

#include "ops/operations.h"

namespace mmreg {

struct DeformInput {  // pointers belong to the table's memory; all on the grid of the fixed image
  const float* fixed;
  const float* moving;
  const std::uint8_t* fixed_valid;   // 0 where the fixed image is to be left out; null: nowhere
  const std::uint8_t* moving_valid;  // 0 where the moving image was not scanned, or is to be left out
  Extent n;
  double spacing_mm[3];
  // Features of a network in place of MIND-SSC, for the levels after the search: (d, h, w, channels), channels a
  // multiple of 16 of which the last four are written here; null: MIND-SSC.
  const Half* fixed_features;
  const Half* moving_features;
  int channels;
};

inline double finest(const double spacing_mm[3]) { return std::min({spacing_mm[0], spacing_mm[1], spacing_mm[2]}); }

}  // namespace mmreg
