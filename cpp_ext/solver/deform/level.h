// The two images on one level of the pyramid, as features with their intensities attached.
#pragma once
#include "ops/buffer.h"
#include "solver/deform/settings.h"
#include "solver/math/affine_map.h"

namespace mmreg {

struct Factor {  // voxels of the whole grid in one of the level, along each axis
  int f[3];
};

// About `wanted` along the finest axis, as many millimetres along the others, never more than the axis has.
Factor factor_of(int wanted, const DeformInput&);
Extent extent_of(Extent whole, const Factor&);
AffineMap to_whole(const Factor&);  // indices of the level to those of the whole grid

Buffer<float> pooled(const Context&, const float* image, Extent whole, const Factor&);

// A voxel of the coarser grid is valid if the middle one of those it stands for is. Of null: empty.
Buffer<std::uint8_t> pooled_validity(const Context&, const std::uint8_t* valid, Extent whole, const Factor&);

// Where the image, smoothed over its noise, shows tissue.
Buffer<std::uint8_t> body(const Context&, const float* image, const std::uint8_t* valid, Extent, float tissue);

class Level {
 public:
  Level(const Context&, const DeformInput&, const PairStatistics&, const Factor&, int dilation);

  Extent n;
  Factor factor;
  float relative[3];  // spacing of the finest axis over that of each axis: scales a smoothing in voxels
  int channels;
  Buffer<Half> fixed, moving;
  Buffer<std::int32_t> rows;
  Buffer<float> presence;  // 1 in the body, less where there is nothing that could hold the displacement
};

// A displacement on the grid of one factor on that of another, in voxels of the new one.
Buffer<float> change_level(const Context&, const float* u, Extent n, const Factor& from, Extent out, const Factor& to);

}  // namespace mmreg
