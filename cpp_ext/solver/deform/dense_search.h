// Dense search on a coarse grid, both ways, made consistent. By MIND-SSC of wide patches, whatever features a network
// gives: those are for the fine levels, over large distances they were measured to do worse.
#pragma once
#include "solver/deform/level.h"

namespace mmreg {

struct Found {
  Buffer<float> u;  // (3, d, h, w) of the coarse grid, in its voxels
  Extent n;
  Factor factor;
  double inconsistency_vox;
};

Found search(const Context&, const DeformInput&, const SearchSettings&);

}  // namespace mmreg
