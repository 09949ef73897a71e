#include "capi/grids.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mmreg::capi {
namespace {

// The limits of the Python package (geometry/affine.py, geometry/grid.py, input_validation.py).
constexpr double kLeastSpacing_mm = 1e-6, kMostSpacing_mm = 1e4, kMostOrigin_mm = 1e6, kLeastVolume = 1e-3;
constexpr double kMostShear_vox = 0.1;
constexpr double kLeastOverlap = 0.02;
constexpr int kOverlapSamples = 24;  // along each axis of a field of view
constexpr double kRigid = 1e-4;      // largest distance of a rotation from the matrix

AffineMap read_matrix(const double (&matrix)[16], const char* what) {
  AffineMap map;
  for (int k = 0; k < 16; ++k) {
    if (!std::isfinite(matrix[k])) refuse("MMREG_E_GRID_NOT_FINITE", "%s must be finite.", what);
    if (k < 12)
      map.m[k] = matrix[k];
    else if (matrix[k] != (k == 15))
      refuse("MMREG_E_GRID_AFFINE", "%s must be 4 x 4, row by row, with 0 0 0 1 as the last row; found %g %g %g %g.",
             what, matrix[12], matrix[13], matrix[14], matrix[15]);
  }
  return map;
}

AffineMap flip() {  // RAS to LPS, and back
  AffineMap map;
  map(0, 0) = map(1, 1) = -1;
  return map;
}

void check_axes(const AffineMap& map, const char* name) {
  double volume = std::fabs(determinant(map));
  for (int k = 0; k < 3; ++k) {
    const double spacing = length(column(map, k));
    if (!(spacing >= kLeastSpacing_mm && spacing <= kMostSpacing_mm))
      refuse("MMREG_E_GRID_SPACING",
             "The spacing of the %s image must lie between %g and %g mm; found %g along axis %d. "
             "Repair the affine or its unit.",
             name, kLeastSpacing_mm, kMostSpacing_mm, spacing, k);
    if (std::fabs(map(k, 3)) > kMostOrigin_mm)
      refuse("MMREG_E_GRID_ORIGIN",
             "The first voxel of the %s image must lie within %g mm of the origin; found %g. Repair "
             "the affine or its unit.",
             name, kMostOrigin_mm, map(k, 3));
    volume /= spacing;
  }
  if (volume < kLeastVolume)
    refuse("MMREG_E_GRID_SINGULAR",
           "The three axes of the %s image must span space; the volume of the unit axes is %.2g "
           "(limit %g). Repair the affine.",
           name, volume, kLeastVolume);
}

// Largest distance of a corner from where it would be with orthogonal axes, in voxels.
double shear_vox(const AffineMap& map, Extent n) {
  AffineMap unit = map;
  double spacing[3];
  for (int k = 0; k < 3; ++k) {
    spacing[k] = length(column(map, k));
    set_column(unit, k, (1 / spacing[k]) * column(map, k));
  }
  AffineMap orthogonal = nearest_rotation(unit);
  for (int k = 0; k < 3; ++k) set_column(orthogonal, k, spacing[k] * column(orthogonal, k));
  AffineMap back = invert(map);
  set_column(back, 3, Point{});
  double most = 0;
  for (int corner = 0; corner < 8; ++corner) {  // both grids have one centre
    const Point half{{0.5 * (n.d - 1), (corner & 1 ? 0.5 : -0.5) * (n.h - 1), (corner & 2 ? 0.5 : -0.5) * (n.w - 1)}};
    most = std::max(most, length(rotate(back, rotate(orthogonal, half) - rotate(map, half))));
  }
  return most;
}

double share_inside(Extent inner, const AffineMap& inner_mm, Extent outer, const AffineMap& outer_mm) {
  const AffineMap map = compose(invert(outer_mm), inner_mm);
  const int inner_n[3] = {inner.d, inner.h, inner.w}, outer_n[3] = {outer.d, outer.h, outer.w};
  const bool slices = inner.d == 1 && outer.d == 1;
  int found = 0;
  for (int k = 0; k < kOverlapSamples * kOverlapSamples * kOverlapSamples; ++k) {
    const int at[3] = {k / (kOverlapSamples * kOverlapSamples), k / kOverlapSamples % kOverlapSamples,
                       k % kOverlapSamples};
    Point index;
    for (int a = 0; a < 3; ++a) index.x[a] = (at[a] + 0.5) / kOverlapSamples * inner_n[a] - 0.5;
    index = apply(map, index);
    if (slices) index.x[0] = 0;
    bool inside = true;
    for (int a = 0; a < 3; ++a) inside &= index.x[a] >= -0.5 && index.x[a] <= outer_n[a] - 0.5;
    found += inside;
  }
  return double(found) / (kOverlapSamples * kOverlapSamples * kOverlapSamples);
}

}  // namespace

AffineMap between_spaces(const AffineMap& map, int space) {
  return space == MMREG_LPS ? compose(flip(), compose(map, flip())) : map;
}

AffineMap checked_affine(const double (&matrix)[16], int space, Extent n, const char* name) {
  char what[64];
  std::snprintf(what, sizeof what, "The affine of the %s image", name);
  AffineMap map = read_matrix(matrix, what);
  if (space == MMREG_LPS) map = compose(flip(), map);
  check_axes(map, name);
  if (const double off = shear_vox(map, n); off > kMostShear_vox)
    refuse("MMREG_E_GRID_SHEAR",
           "The axes of the %s image must be orthogonal; a corner lies %.2g voxels off (limit %g). "
           "Resample it to an orthogonal grid first.",
           name, off, kMostShear_vox);
  return map;
}

AffineMap checked_rigid(const double (&matrix)[16], int space) {
  const AffineMap map = read_matrix(matrix, "options->start_matrix");
  const AffineMap nearest = nearest_rotation(map);
  double off = 0;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) off = std::max(off, std::fabs(map(i, j) - nearest(i, j)));
  if (!(off <= kRigid && determinant(map) > 0))
    refuse("MMREG_E_TRANSFORM_NOT_RIGID",
           "options->start_matrix must be a rotation and a translation; it is off by %.2g.", off);
  return between_spaces(map, space);
}

void check_dimensions(Extent fixed, Extent moving) {
  if ((fixed.d == 1) == (moving.d == 1)) return;
  refuse("MMREG_E_DIMS_MISMATCH",
         "Both images must be volumes, or both single slices; found fixed %d x %d x %d and moving "
         "%d x %d x %d.",
         fixed.d, fixed.h, fixed.w, moving.d, moving.h, moving.w);
}

void check_overlap(Extent fixed, const AffineMap& fixed_mm, Extent moving, const AffineMap& moving_mm) {
  const double overlap =
      std::max(share_inside(fixed, fixed_mm, moving, moving_mm), share_inside(moving, moving_mm, fixed, fixed_mm));
  if (overlap >= kLeastOverlap) return;
  const char* const code = overlap > 0 ? "MMREG_E_TINY_OVERLAP" : "MMREG_E_NO_OVERLAP";
  refuse(code,
         "The fields of view share %.1f%% of the smaller one by their affines, and at least %.0f%% is needed. Check "
         "the origins; if the affines share no space, set unrelated_headers.",
         100 * overlap, 100 * kLeastOverlap);
}

void to_matrix(const AffineMap& map, double (&matrix)[16]) {
  for (int k = 0; k < 16; ++k) matrix[k] = k < 12 ? map.m[k] : (k == 15);
}

}  // namespace mmreg::capi
