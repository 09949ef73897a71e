// The moving scan on the grid of the fixed one, as the deformable solver wants it.
#pragma once
#include "pipeline/frames.h"
#include "solver/align/scan_statistics.h"
#include "solver/deform/deform.h"

namespace mmreg {

struct Prepared {
  Buffer<float> moving;        // 0: the lowest value of the scan, also outside of it
  Buffer<std::uint8_t> valid;  // 1 inside of the moving scan and of its mask
};

// The moving scan above its lowest value, blurred where it is finer than the grid whose indices `to_moving` maps. An
// offset of the intensities does not change it.
Buffer<float> above_lowest(const Context&, const Scan& moving, const AffineMap& to_moving);

// An image whose outside is 0, blurred in place where it is finer than grid n; `out` and `valid` are on that grid.
// Waits for nothing.
void resample_to_grid(const Context&, ImageView<float>, const AffineMap& to_moving, Extent n, float* out,
                      std::uint8_t* valid);

Prepared prepare(const Context&, const Scan& fixed, const Scan& moving, const AffineMap& to_moving);

// Share of the voxels that are valid.
double covered(const Context&, const Buffer<std::uint8_t>& valid);

// Pairs a grid with the images on it.
DeformInput input_of(const Scan& fixed, const float* moving, const std::uint8_t* moving_valid);

}  // namespace mmreg
