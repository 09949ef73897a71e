// Deformable registration of two images on one grid: a dense search on a coarse grid for the large motion (Heinrich,
// Papiez, Schnabel, Handels, WBIR 2014; Siebert, Hansen, Heinrich, convexAdam, 2022), then small smooth steps that are
// composed, driven by features and by the joint histogram of the intensities.
#pragma once
#include <functional>

#include "ops/buffer.h"
#include "solver/deform/determinant_floors.h"
#include "solver/deform/settings.h"
#include "solver/math/affine_map.h"

namespace mmreg {

enum class Side { fixed, moving };

struct Prior {               // what a network contributes
  const float* u = nullptr;  // (3, d, h, w), in voxels: the search and the refinement start from it
  // Writes the features of an image on the grid of the pair. Called for the moving image after the affine part of its
  // motion, result by MIND-SSC, has been removed from it.
  std::function<void(Side, const float* image, Half* features)> describe;
  int channels = 0;  // of those features
};

struct Deformation {
  Buffer<float> u;       // (3, d, h, w), voxels of the fixed grid, fixed to moving
  bool complete = true;  // false: time was up, u is the best so far
  AffineMap affine;      // the part of u that the search result to be common to the body, in indices of the fixed grid
  double search_inconsistency_vox = 0;  // mean |forward then backward| of the dense search before it is made consistent
};

using Interrupt = std::function<bool(double progress)>;  // progress in [0, 1]; true: stop now

Deformation deform(const Context&, const DeformInput&, const PairStatistics&, const DeformSettings&, const Interrupt&,
                   const Prior& = {});

}  // namespace mmreg
