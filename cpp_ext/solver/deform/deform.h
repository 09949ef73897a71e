// Deformable registration of two images on one grid: a dense search on a coarse grid for large motion (Heinrich,
// Papiez, Schnabel, Handels, WBIR 2014; Siebert, Hansen, Heinrich, convexAdam, 2022), then a composition of small
// smooth steps driven by features and by the joint histogram of the intensities.
#pragma once
#include <functional>

#include "ops/buffer.h"
#include "solver/deform/determinant_floors.h"
#include "solver/deform/settings.h"
#include "solver/math/affine_map.h"

namespace mmreg {

enum class Side { fixed, moving };

struct Prior {               // outputs of a network, in the table's memory
  const float* u = nullptr;  // (3, d, h, w), in voxels: start of the search and the refinement
  // Returns the features of an image on the grid of the pair, (d, h, w, channels), in memory that outlives deform().
  // The moving image passed to it is warped by the affine part of the motion, which the search with MIND-SSC
  // determines.
  std::function<const Half*(Side, const float* image)> describe;
  int channels = 0;  // of the features, a multiple of 16
};

struct Deformation {
  Buffer<float> u;       // (3, d, h, w), voxels of the fixed grid, fixed to moving
  bool complete = true;  // false: interrupted, u is the best so far
  AffineMap affine;      // affine part of u, which the search found for the body, in indices of the fixed grid
  double search_inconsistency_vox = 0;  // mean |forward then backward| of the dense search before symmetrisation
};

using Interrupt = std::function<bool(double progress)>;  // progress in [0, 1]; return true to stop

// Registers the pair and removes the folds of the result (determinant_floors.h).
Deformation deform(const Context&, const DeformInput&, const PairStatistics&, const DeformSettings&, const Interrupt&,
                   const Prior& = {});

}  // namespace mmreg
