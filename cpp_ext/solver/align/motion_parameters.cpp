#include "solver/align/motion_parameters.h"

namespace mmreg {

MotionParameters::MotionParameters(const AffineMap& base, Freedom freedom, double radius_mm, const Point* normal)
    : base_(base), freedom_(freedom), radius_mm_(radius_mm), dims_(normal ? 2 : 3) {
  linear_ = freedom == Freedom::affine ? dims_ * dims_ : (normal ? 1 : 3);
  count_ = linear_ + dims_;
  for (int k = 0; k < 3; ++k) axes_[k] = {{k == 0 ? 1.0 : 0.0, k == 1 ? 1.0 : 0.0, k == 2 ? 1.0 : 0.0}};
  if (!normal) return;
  const Point& n = axes_[2] = *normal;
  const Point off = std::fabs(n.x[0]) < 0.7 ? Point{{1, 0, 0}} : Point{{0, 1, 0}};
  const Point first = cross(n, off);
  axes_[0] = (1 / length(first)) * first;
  axes_[1] = cross(n, axes_[0]);
}

AffineMap MotionParameters::at(const double* parameters) const {
  AffineMap change;
  if (freedom_ == Freedom::rigid) {
    Point vector{};
    for (int k = 0; k < linear_; ++k) vector = vector + (parameters[k] / radius_mm_) * axes_[dims_ == 2 ? 2 : k];
    change = rotation(vector);
  } else {
    for (int i = 0; i < dims_; ++i)
      for (int j = 0; j < dims_; ++j)
        for (int row = 0; row < 3; ++row)
          for (int k = 0; k < 3; ++k)
            change(row, k) += parameters[i * dims_ + j] / radius_mm_ * axes_[i].x[row] * axes_[j].x[k];
  }
  AffineMap out = compose(base_, change);
  for (int k = 0; k < dims_; ++k)
    set_column(out, 3, column(out, 3) + parameters[linear_ + k] * rotate(base_, axes_[k]));
  return out;
}

void MotionParameters::chain(const double* parameters, const double by_map[12], double* by_parameters) const {
  const double step = 1e-4 * radius_mm_;  // central differences in double precision: their error is below 1e-8
  double moved[kMost];
  for (int k = 0; k < count_; ++k) moved[k] = parameters[k];
  for (int k = 0; k < count_; ++k) {
    moved[k] = parameters[k] + step;
    const AffineMap ahead = at(moved);
    moved[k] = parameters[k] - step;
    const AffineMap back = at(moved);
    moved[k] = parameters[k];
    by_parameters[k] = 0;
    for (int i = 0; i < 12; ++i) by_parameters[k] += by_map[i] * (ahead.m[i] - back.m[i]) / (2 * step);
  }
}

}  // namespace mmreg
