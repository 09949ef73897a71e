// The points of the fixed scan at which a similarity is measured.
#pragma once
#include "solver/align/pyramid.h"

namespace mmreg {

struct FixedSamples {
  Buffer<float> points;  // (3, count), mm from the centre of the body
  Buffer<float> values;  // (count), mapped to [0, 1]
  std::int64_t count;
};

// Returns the foreground, widened by `margin_mm` along each axis of the lattice.
std::vector<std::uint8_t> widened(const ScanStatistics&, double margin_mm);

// Draws one point in each cell of `spacing_mm`, at a random place inside the cell, about `most` points at most: where
// both grids are coarse and parallel, points at voxel centres would favour shifts by whole voxels (Pluim, Maintz and
// Viergever, "Interpolation artefacts in mutual information based image registration", 2000). Points lie in the
// foreground and a margin around it, so that a wide field of view does not drown it.
FixedSamples draw_samples(const Context&, const PyramidLevel&, const ScanStatistics&, double spacing_mm,
                          std::int64_t most);

}  // namespace mmreg
