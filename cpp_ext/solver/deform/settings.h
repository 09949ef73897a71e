// Settings of the deformable registration, and their selection for a pair of images.
#pragma once
#include "solver/deform/image_statistics.h"

namespace mmreg {

struct SearchSettings {
  bool wanted = true;
  int patch_radius = 3, dilation = 2;  // of MIND-SSC, in voxels of the whole grid
  int factor = 5;                      // size of a cell along the finest axis, in voxels
  int radius = 6;                      // largest displacement along the finest axis, in cells
  int smoothing = 2, passes = 2;       // radius in cells of the box filter of the costs, and number of passes
};

struct LevelSettings {
  int factor = 2;  // voxels of the whole grid per voxel of the level, along the finest axis
  int iterations = 40;
  float rate_vox = 0.4f, last_rate = 0.2f;     // longest step at the start; fraction of it at the end
  float fluid_vox = 1.0f, elastic_vox = 0.5f;  // sigma of the smoothing of each gradient and of the displacement
  int dilation = 2;                            // of MIND-SSC, in voxels of the level
  float feature_weight = 1, intensity_weight = 1;
  float floor = 0.18f;  // of the gradient magnitude, relative to its root mean square before smoothing
};

struct DeformSettings {
  SearchSettings search;
  int levels = 2;
  LevelSettings level[4];
};

DeformSettings select_settings(const PairStatistics&, const DeformInput&);

// Settings to continue from the displacement of the frame before in a series: no search, fewer iterations.
DeformSettings tracking_settings(const DeformSettings&);

}  // namespace mmreg
