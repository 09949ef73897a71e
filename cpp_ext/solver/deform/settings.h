// Settings of the deformable registration, and how they are selected for a pair of images.
#pragma once
#include "solver/deform/image_statistics.h"

namespace mmreg {

struct SearchSettings {
  bool wanted = true;
  int patch_radius = 3, dilation = 2;  // of MIND-SSC, in voxels of the whole grid
  int factor = 5;                      // voxels of a cell along the finest axis
  int radius = 6;                      // displacements in cells, each way
  int smoothing = 2, passes = 2;       // box over the costs of neighbouring cells
};

struct LevelSettings {
  int factor = 2;  // voxels of the whole grid in one of this level, along the finest axis
  int iterations = 40;
  float rate_vox = 0.4f, last_rate = 0.2f;     // longest step at the start, and the share of it left at the end
  float fluid_vox = 1.0f, elastic_vox = 0.5f;  // smoothing of each gradient and of the displacement
  int dilation = 2;                            // of MIND-SSC, in voxels of the level
  float feature_weight = 1, intensity_weight = 1;
  float floor = 0.18f;  // of the gradient, in units of its root mean square before smoothing
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
