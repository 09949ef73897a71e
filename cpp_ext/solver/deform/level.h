// The two images on one level of the pyramid: features with the intensities as extra channels.
#pragma once
#include "ops/buffer.h"
#include "solver/deform/settings.h"
#include "solver/math/affine_map.h"

namespace mmreg {

struct Factor {  // voxels of the whole grid per voxel of the level, along each axis
  int f[3];
};

// Returns `along_finest` for the finest axis and about as many mm for the others, at most a quarter of each axis.
Factor factor_of(int along_finest, const DeformInput&);
Extent extent_of(Extent whole, const Factor&);
AffineMap to_whole(const Factor&);  // maps indices of the level to indices of the whole grid

Buffer<float> pooled(const Context&, Image whole, const Factor&);

// Returns the mask of a level: a voxel is valid if the middle voxel of its block is. Empty if `whole` is.
Buffer<std::uint8_t> pooled_validity(const Context&, Mask whole, const Factor&);

// Returns the mask of the body: valid voxels where the image, smoothed to suppress noise, exceeds `tissue`.
Buffer<std::uint8_t> body_mask(const Context&, Image, const std::uint8_t* valid, float tissue);

class Level {
 public:
  Level(const Context&, const DeformInput&, const PairStatistics&, const Factor&, int dilation);

  Extent n;
  Factor factor;
  float relative[3];  // finest spacing over the spacing of each axis; scales a smoothing in voxels
  int channels;
  Buffer<Half> fixed, moving;  // features, (d, h, w, channels)
  Buffer<std::int32_t> rows;   // (d * h, 2), from the operation active_rows
  Buffer<float> presence;      // weight of the displacement in its smoothing: 1 in the body, less elsewhere
};

// Resamples a displacement from the grid of one factor to the grid of another, in voxels of the new grid.
Buffer<float> change_level(const Context&, Displacement u, const Factor& from, Extent out, const Factor& to);

}  // namespace mmreg
