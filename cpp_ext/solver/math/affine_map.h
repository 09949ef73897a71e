// Affine maps of 3-D space in double precision, 3 x 4 row-major, and their algebra.
#pragma once
#include <cmath>

namespace mmreg {

constexpr double kRadiansPerDegree = 0.017453292519943295;

struct Point {
  double x[3];
};

struct AffineMap {  // p -> m[:, :3] p + m[:, 3]
  double m[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};

  double& operator()(int row, int column) { return m[4 * row + column]; }
  double operator()(int row, int column) const { return m[4 * row + column]; }
};

inline Point operator+(const Point& a, const Point& b) { return {{a.x[0] + b.x[0], a.x[1] + b.x[1], a.x[2] + b.x[2]}}; }
inline Point operator-(const Point& a, const Point& b) { return {{a.x[0] - b.x[0], a.x[1] - b.x[1], a.x[2] - b.x[2]}}; }
inline Point operator*(double s, const Point& a) { return {{s * a.x[0], s * a.x[1], s * a.x[2]}}; }
inline double dot(const Point& a, const Point& b) { return a.x[0] * b.x[0] + a.x[1] * b.x[1] + a.x[2] * b.x[2]; }
inline double length(const Point& a) { return std::sqrt(dot(a, a)); }
inline Point cross(const Point& a, const Point& b) {
  return {{a.x[1] * b.x[2] - a.x[2] * b.x[1], a.x[2] * b.x[0] - a.x[0] * b.x[2], a.x[0] * b.x[1] - a.x[1] * b.x[0]}};
}

inline Point column(const AffineMap& a, int k) { return {{a(0, k), a(1, k), a(2, k)}}; }
inline void set_column(AffineMap& a, int k, const Point& p) {
  for (int i = 0; i < 3; ++i) a(i, k) = p.x[i];
}

inline Point apply(const AffineMap& a, const Point& p) {
  return p.x[0] * column(a, 0) + p.x[1] * column(a, 1) + p.x[2] * column(a, 2) + column(a, 3);
}
inline Point rotate(const AffineMap& a, const Point& p) { return apply(a, p) - column(a, 3); }  // the linear part

inline AffineMap translation(const Point& t) {
  AffineMap a;
  set_column(a, 3, t);
  return a;
}

AffineMap compose(const AffineMap& outer, const AffineMap& inner);  // p -> outer(inner(p))
AffineMap invert(const AffineMap&);
double determinant(const AffineMap&);                            // of the linear part
AffineMap nearest_rotation(const AffineMap&);                    // of the linear part; keeps a reflection
AffineMap rotation(const Point& vector);                         // about the vector, by its length in radians
AffineMap rotation_between(const Point& from, const Point& to);  // the smallest rotation between unit vectors
void singular_values(const AffineMap&, double values[3]);        // singular values of the linear part, ascending
// Returns the root mean square distance between two maps over a ball around the origin with root mean square `radius`.
double distance(const AffineMap& a, const AffineMap& b, double radius);

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
