// Slices: scans of a single plane, aligned by rotation and shift within the plane.
#pragma once
#include <vector>

#include "solver/align/scan_statistics.h"

namespace mmreg {

bool in_plane(const Scan&);

// Unit normal of the plane that axes 1 and 2 of a grid span.
Point plane_normal(const AffineMap& affine);

// Returns unit vectors that span the plane with this normal, or 3-D space if it is null.
std::vector<Point> spanning(const Point* normal);

}  // namespace mmreg
