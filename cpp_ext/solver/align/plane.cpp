#include "solver/align/plane.h"

#include <cmath>

namespace mmreg {
namespace {

Point unit(const Point& p) { return (1 / length(p)) * p; }

}  // namespace

bool in_plane(const Scan& scan) { return scan.extent.d == 1 && scan.extent.h > 1 && scan.extent.w > 1; }

Point plane_normal(const AffineMap& affine) { return unit(cross(column(affine, 1), column(affine, 2))); }

std::vector<Point> spanning(const Point* normal) {
  if (!normal) return {Point{{1, 0, 0}}, Point{{0, 1, 0}}, Point{{0, 0, 1}}};
  const Point off = std::fabs(normal->x[0]) < 0.7 ? Point{{1, 0, 0}} : Point{{0, 1, 0}};
  const Point first = unit(cross(*normal, off));
  return {first, cross(*normal, first)};
}

}  // namespace mmreg
