// Searches for a pose in a plane among all rotations and all shifts of up to half the field of view, by correlating the
// edges of both slices with Fourier transforms. Thin structures, such as the vessels of a retina, coincide in the right
// place only, and the mutual information of coarse levels does not see them.
#pragma once
#include <functional>

#include "solver/align/edges.h"
#include "solver/align/grid_search.h"

namespace mmreg {

struct Plane {
  Point axes[2];   // unit vectors, of the fixed scan
  AffineMap turn;  // rotation of the fixed plane to the moving one
};

// Returns the best few poses of every rotation about the normal; the score is in standard deviations of the agreement
// of unrelated scans. Levels: finest first. Maps take mm of the fixed scan to mm of the moving one.
std::vector<Candidate> search_edges(const Context&, const std::vector<PyramidLevel>& fixed,
                                    const std::vector<PyramidLevel>& moving, const Plane&,
                                    const std::function<bool()>& stop);

}  // namespace mmreg
