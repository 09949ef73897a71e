// A robust affine fit to a displacement.
#pragma once
#include <cstdint>
#include <vector>

#include "core/types.h"
#include "solver/math/affine_map.h"

namespace mmreg {

struct AffineFit {
  AffineMap map;        // of indices: p -> p + u(p), for most points of the mask
  double moved_vox;     // mean distance by which the map moves the points of the mask
  double residual_vox;  // median distance between the map and the displacement
};

// u (3, d, h, w) in voxels; mask (d, h, w): points to fit. Iteratively reweighted least squares (Geman and McClure).
// Along an axis of a few voxels the map keeps its scale.
AffineFit fit_affine(const std::vector<float>& u, const std::vector<std::uint8_t>& mask, Extent n);

bool plausible(const AffineMap&);  // no reflection, and no scale beyond the differences between people

}  // namespace mmreg
