// The two images on one level of the pyramid: features, with the intensities as extra channels.
#pragma once
#include "ops/buffer.h"
#include "solver/deform/settings.h"
#include "solver/math/affine_map.h"

namespace mmreg {

struct Factor {  // voxels of the whole grid in one of the level, along each axis
  int f[3];
};

// `along_finest` along the finest axis and about as many mm along the others, at most a quarter of the axis.
Factor factor_of(int along_finest, const DeformInput&);
Extent extent_of(Extent whole, const Factor&);
AffineMap to_whole(const Factor&);  // indices of the level to those of the whole grid

Buffer<float> pooled(const Context&, Image whole, const Factor&);

// A voxel of the coarser grid is valid if the middle voxel of its block is. Empty if `whole` is.
Buffer<std::uint8_t> pooled_validity(const Context&, Mask whole, const Factor&);

// Mask of the tissue: where the image, smoothed over its noise, is above `tissue`.
Buffer<std::uint8_t> body_mask(const Context&, Image, const std::uint8_t* valid, float tissue);

class Level {
 public:
  Level(const Context&, const DeformInput&, const PairStatistics&, const Factor&, int dilation);

  Extent n;
  Factor factor;
  float relative[3];  // spacing of the finest axis over that of each axis: scales a smoothing in voxels
  int channels;
  Buffer<Half> fixed, moving;
  Buffer<std::int32_t> rows;
  Buffer<float> presence;  // weight of the displacement in its smoothing: 1 in the body, less elsewhere
};

// Resamples a displacement from the grid of one factor to the grid of another, in voxels of the new grid.
Buffer<float> change_level(const Context&, Displacement u, const Factor& from, Extent out, const Factor& to);

}  // namespace mmreg
