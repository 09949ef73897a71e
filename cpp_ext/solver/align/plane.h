// Slices: scans of one plane, which is turned and shifted within itself.
#pragma once
#include <vector>

#include "solver/align/scan_statistics.h"

namespace mmreg {

bool in_plane(const Scan&);

// Unit normal of the plane that axes 1 and 2 of a grid span.
Point plane_normal(const AffineMap& affine);

// Unit vectors that span the plane with this normal, or the space where it is null.
std::vector<Point> spanning(const Point* normal);

}  // namespace mmreg
