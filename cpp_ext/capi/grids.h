// Grids of the host: their affines in RAS+ mm, and whether two of them belong together.
#pragma once
#include "capi/guard.h"
#include "core/types.h"
#include "solver/math/affine_map.h"

namespace mmreg::capi {

// Returns an affine of the host in RAS+ mm. Throws a CodedError if it is no grid of voxels.
AffineMap checked_affine(const double (&matrix)[16], int space, Extent, const char* name);
// Returns a rigid transform of the host, fixed mm to moving mm, in RAS+ mm. Throws if it is not rigid.
AffineMap checked_rigid(const double (&matrix)[16], int space);

void check_dimensions(Extent fixed, Extent moving);  // both slices, or both volumes
void check_overlap(Extent fixed, const AffineMap& fixed_mm, Extent moving, const AffineMap& moving_mm);

AffineMap between_spaces(const AffineMap&, int space);  // a transform, from or to the space of the host
void to_matrix(const AffineMap&, double (&matrix)[16]);

}  // namespace mmreg::capi
