// The frames of a pair of grids, and the maps between them.
#pragma once
#include "solver/affine_map.h"

namespace mmreg {

struct Frames {
  AffineMap fixed_mm, moving_mm;  // indices to mm
  AffineMap affine;               // fixed mm to moving mm

  AffineMap to_moving() const { return compose(invert(moving_mm), compose(affine, fixed_mm)); }  // index to index
};

inline AffineMap nothing() {  // p -> 0
  AffineMap a;
  for (double& value : a.m) value = 0;
  return a;
}

struct Change {  // arguments of the operation add_affine
  double linear[9], map[12];
};

// linear: the linear part of `outer`; map: `whole` minus `less`.
inline Change change(const AffineMap& outer, const AffineMap& whole, const AffineMap& less) {
  Change c;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) c.linear[3 * i + j] = outer(i, j);
  for (int k = 0; k < 12; ++k) c.map[k] = whole.m[k] - less.m[k];
  return c;
}

}  // namespace mmreg
