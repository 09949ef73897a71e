// Statistics of a scan on a coarse lattice of its voxels: intensity map, foreground, its position and its size.
#pragma once
#include <vector>

#include "ops/context.h"
#include "solver/math/affine_map.h"

namespace mmreg {

struct Scan {         // pointers belong to the table's memory
  const float* data;  // (d, h, w)
  Extent extent;
  AffineMap affine;          // array indices (0, 1, 2) to RAS+ mm, 3x4 row major
  const std::uint8_t* mask;  // (d, h, w), 0 where the scan is to be left out; null: none

  operator Image() const { return {data, extent}; }
};

struct ScanStatistics {
  AffineMap affine;      // of the scan
  double spacing_mm[3];  // along each axis
  bool flat = true;      // constant, or without a finite voxel: cannot be aligned
  IntensityMap intensity_map;
  Extent lattice;                  // of the sampled points
  int stride[3];                   // voxels between them
  std::vector<std::uint8_t> body;  // foreground, on the lattice
  Point centre_mm;                 // of the foreground
  double radius_mm;                // root mean square distance of the foreground from its centre
  double diameter_mm;              // of the ball (disc, in 2-D) with that radius
};

ScanStatistics measure_scan_statistics(const Context&, const Scan&);

// Returns the smallest spacing along the axes of more than one voxel.
double finest_spacing_mm(const Scan&, const ScanStatistics&);

}  // namespace mmreg
