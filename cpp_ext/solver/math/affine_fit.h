// Robust affine fit to a displacement.
#pragma once
#include <cstdint>
#include <vector>

#include "core/types.h"
#include "solver/math/affine_map.h"

namespace mmreg {

struct AffineFit {
  AffineMap map;        // index map that approximates p -> p + u(p) for most points of the mask
  double moved_vox;     // mean distance by which the map moves the points of the mask
  double residual_vox;  // median distance between the map and the displacement
};

// Fits by iteratively reweighted least squares with weights of Geman and McClure. u: (3, d, h, w), in voxels; mask:
// (d, h, w), the points to fit. The map does not scale an axis of only a few voxels.
AffineFit fit_affine(const std::vector<float>& u, const std::vector<std::uint8_t>& mask, Extent n);

// Returns whether the map has no reflection and no scale beyond the variation between people.
bool plausible(const AffineMap&);

}  // namespace mmreg
