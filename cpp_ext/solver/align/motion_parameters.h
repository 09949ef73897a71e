// Rigid or affine maps around a base map, by a few parameters, all in mm at the rim of the body.
#pragma once
#include "solver/math/affine_map.h"

namespace mmreg {

enum class Freedom : int { rigid, affine };

class MotionParameters {
 public:
  static constexpr int kMost = 12;

  // 6 or 12 parameters; 3 or 6 in a plane with this unit normal (null: 3-D).
  MotionParameters(const AffineMap& base, Freedom freedom, double radius_mm, const Point* normal);

  int count() const { return count_; }
  AffineMap at(const double* parameters) const;
  // Chain rule: from the derivative `by_map` with respect to the twelve numbers of the map to the derivative with
  // respect to the parameters.
  void chain(const double* parameters, const double by_map[12], double* by_parameters) const;

 private:
  AffineMap base_;
  Freedom freedom_;
  double radius_mm_;
  int dims_, count_, linear_;
  Point axes_[3];  // the first `dims_` span the space; in a plane the third is its normal
};

}  // namespace mmreg
