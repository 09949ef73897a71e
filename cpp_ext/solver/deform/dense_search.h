// Dense search on a coarse grid, in both directions with a symmetric result. It always compares MIND-SSC of wide
// patches, even if a network provides features: those are for the fine levels and performed worse over large distances.
#pragma once
#include "solver/deform/level.h"

namespace mmreg {

struct DenseSearchResult {
  Buffer<float> u;  // (3, d, h, w) of the coarse grid, in its voxels
  Factor factor;
  double inconsistency_vox;
};

DenseSearchResult dense_search(const Context&, const DeformInput&, const SearchSettings&);

}  // namespace mmreg
