// Resamples the moving scan to the grid of the fixed one, for the deformable solver.
#pragma once
#include "pipeline/frames.h"
#include "solver/align/scan_statistics.h"
#include "solver/deform/deform.h"

namespace mmreg {

struct Prepared {
  Buffer<float> moving;        // 0: the lowest value of the scan, also outside of it
  Buffer<std::uint8_t> valid;  // 1 inside of the moving scan and of its mask
};

// Returns the moving scan minus its lowest value, which removes any offset of the intensities, smoothed if it is finer
// than the grid whose indices `to_moving` maps.
Buffer<float> above_lowest(const Context&, const Scan& moving, const AffineMap& to_moving);

// Resamples an image whose outside is 0 to grid n. The image is smoothed in place if it is finer than that grid. Does
// not wait for the queue.
void resample_to_grid(const Context&, ImageView<float>, const AffineMap& to_moving, Extent n, float* out,
                      std::uint8_t* valid);

Prepared prepare(const Context&, const Scan& fixed, const Scan& moving, const AffineMap& to_moving);

// Returns the share of the voxels that are valid.
double covered(const Context&, const Buffer<std::uint8_t>& valid);

// Pairs a grid with the images on it.
DeformInput input_of(const Scan& fixed, const float* moving, const std::uint8_t* moving_valid);

}  // namespace mmreg
