#include "solver/math/affine_map.h"

#include <algorithm>

namespace mmreg {

AffineMap compose(const AffineMap& outer, const AffineMap& inner) {
  AffineMap out;
  for (int k = 0; k < 3; ++k) set_column(out, k, rotate(outer, column(inner, k)));
  set_column(out, 3, apply(outer, column(inner, 3)));
  return out;
}

double determinant(const AffineMap& a) { return dot(column(a, 0), cross(column(a, 1), column(a, 2))); }

AffineMap invert(const AffineMap& a) {
  const double scale = 1 / determinant(a);
  AffineMap out;
  for (int row = 0; row < 3; ++row) {
    const Point r = scale * cross(column(a, (row + 1) % 3), column(a, (row + 2) % 3));
    for (int k = 0; k < 3; ++k) out(row, k) = r.x[k];
    out(row, 3) = -dot(r, column(a, 3));
  }
  return out;
}

// Polar decomposition by Newton's iteration (Higham, SIAM J. Sci. Stat. Comput. 7(4), 1986).
AffineMap nearest_rotation(const AffineMap& a) {
  AffineMap r = a;
  set_column(r, 3, Point{});
  for (int round = 0; round < 20; ++round) {
    const AffineMap back = invert(r);
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) r(i, j) = 0.5 * (r(i, j) + back(j, i));
  }
  return r;
}

AffineMap rotation(const Point& vector) {  // Rodrigues' formula
  const double angle = length(vector), half = 0.5 * angle;
  const double a = angle < 1e-6 ? 1 - angle * angle / 6 : std::sin(angle) / angle;
  const double s = angle < 1e-6 ? 0.5 : std::sin(half) / angle, b = 2 * s * s;
  const double (&v)[3] = vector.x;
  AffineMap r;
  const double square = dot(vector, vector);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) r(i, j) = (i == j ? 1 - b * square : 0) + b * v[i] * v[j];
  r(0, 1) -= a * v[2];
  r(1, 0) += a * v[2];
  r(0, 2) += a * v[1];
  r(2, 0) -= a * v[1];
  r(1, 2) -= a * v[0];
  r(2, 1) += a * v[0];
  return r;
}

AffineMap rotation_between(const Point& from, const Point& to) {
  const Point axis = cross(from, to);
  const double sine = length(axis), angle = std::atan2(sine, dot(from, to));
  if (sine > 1e-12) return rotation((angle / sine) * axis);
  return AffineMap();  // parallel vectors
}

void singular_values(const AffineMap& a, double values[3]) {  // eigenvalues of A'A in closed form (Smith, 1961)
  double s[3][3], trace = 0, off = 0;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) s[i][j] = dot(column(a, i), column(a, j));
  for (int i = 0; i < 3; ++i) trace += s[i][i] / 3;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) off += (s[i][j] - (i == j ? trace : 0)) * (s[i][j] - (i == j ? trace : 0));
  const double p = std::sqrt(off / 6);
  AffineMap b;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) b(i, j) = p > 0 ? (s[i][j] - (i == j ? trace : 0)) / p : 0;
  const double r = std::min(1.0, std::max(-1.0, determinant(b) / 2)), phi = std::acos(r) / 3,
               third = 2.0943951023931953;
  const double high = trace + 2 * p * std::cos(phi), low = trace + 2 * p * std::cos(phi + third);
  const double eigen[3] = {low, 3 * trace - high - low, high};
  for (int i = 0; i < 3; ++i) values[i] = std::sqrt(std::max(0.0, eigen[i]));
}

double distance(const AffineMap& a, const AffineMap& b, double radius) {
  double linear = 0, shift = 0;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) linear += (a(i, j) - b(i, j)) * (a(i, j) - b(i, j));
    shift += (a(i, 3) - b(i, 3)) * (a(i, 3) - b(i, 3));
  }
  return std::sqrt(shift + linear * radius * radius / 3);
}

}  // namespace mmreg
