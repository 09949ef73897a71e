// The frames of a pair of grids, and the maps between them.
#pragma once
#include "solver/align/scan_statistics.h"

namespace mmreg {

struct Frames {
  AffineMap fixed_mm, moving_mm;  // indices to mm
  AffineMap affine;               // fixed mm to moving mm

  Frames(const Scan& fixed, const Scan& moving, const AffineMap& map)
      : fixed_mm(fixed.affine), moving_mm(moving.affine), affine(map) {}

  AffineMap to_moving() const { return compose(invert(moving_mm), compose(affine, fixed_mm)); }  // index to index
};

inline AffineMap nothing() {  // p -> 0
  AffineMap a;
  for (double& value : a.m) value = 0;
  return a;
}

}  // namespace mmreg
