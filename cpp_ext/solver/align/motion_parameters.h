// The maps that may be reached from a given one by a few numbers, all of which are in mm at the rim of the body.
#pragma once
#include "solver/math/affine_map.h"

namespace mmreg {

enum class Freedom : int { rigid, affine };

class MotionParameters {
 public:
  static constexpr int kMost = 12;

  // 6 or 12 numbers; 3 or 6 in a plane, given by its unit normal (null: 3-D).
  MotionParameters(const AffineMap& base, Freedom freedom, double radius_mm, const Point* normal);

  int count() const { return count_; }
  AffineMap at(const double* parameters) const;
  // Derivative by the parameters of what has `by_map` as derivative by the twelve numbers of the map.
  void chain(const double* parameters, const double by_map[12], double* by_parameters) const;

 private:
  AffineMap base_;
  Freedom freedom_;
  double radius_mm_;
  int dims_, count_, linear_;
  Point axes_[3];  // the first `dims_` span the space; in a plane the third is its normal
};

}  // namespace mmreg
