// Looks for a pose in a plane among all turns and all shifts of up to half the field of view: the edges of both slices
// are correlated by Fourier transforms. Thin structures, the vessels of a retina say, lie on each other in the right
// place only: there, mutual information of coarse levels has nothing to climb.
#pragma once
#include <functional>

#include "solver/align/edges.h"
#include "solver/align/grid_search.h"

namespace mmreg {

struct Plane {
  Point axes[2];   // unit vectors, of the fixed scan
  AffineMap turn;  // directions of the fixed plane to those of the moving one
};

// The best few places of every turn about the normal; the score is in standard deviations of what scans that know
// nothing of each other reach. Levels: finest first. Maps take mm of the fixed scan to mm of the moving one.
std::vector<Candidate> search_edges(const Context&, const std::vector<PyramidLevel>& fixed,
                                    const std::vector<PyramidLevel>& moving, const Plane&,
                                    const std::function<bool()>& stop);

}  // namespace mmreg
