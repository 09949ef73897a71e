// The affine map that most of a displacement agrees with.
#pragma once
#include <cstdint>
#include <vector>

#include "core/types.h"
#include "solver/math/affine_map.h"

namespace mmreg {

struct AffineFit {
  AffineMap map;      // of indices: p -> p + u(p), for the points that agree
  double moved_vox;   // mean distance by which the map moves the points of the mask
  double missed_vox;  // median distance between the map and the displacement
};

// u (3, d, h, w) in voxels; mask (d, h, w): points that count. Least squares with weights that fall with the distance
// (Geman and McClure), repeated. Along an axis of a few voxels the map keeps its scale.
AffineFit fit_affine(const std::vector<float>& u, const std::vector<std::uint8_t>& mask, Extent n);

bool plausible(const AffineMap&);  // no mirror, no body stretched beyond what people differ by

}  // namespace mmreg
