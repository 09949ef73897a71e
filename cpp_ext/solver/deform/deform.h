// Deformable registration of two images on one grid: a dense search on a coarse grid for the large motion (Heinrich,
// Papiez, Schnabel, Handels, WBIR 2014; Siebert, Hansen, Heinrich, convexAdam, 2022), then small smooth steps that are
// composed, driven by features and by the joint histogram of the intensities.
#pragma once
#include <algorithm>
#include <functional>
#include <vector>

#include "ops/buffer.h"
#include "ops/context.h"
#include "solver/math/affine_map.h"

namespace mmreg {

struct DeformInput {  // pointers belong to the table's memory; all on the grid of the fixed image
  const float* fixed;
  const float* moving;
  const std::uint8_t* fixed_valid;   // 0 where the fixed image is to be left out; null: nowhere
  const std::uint8_t* moving_valid;  // 0 where the moving image was not scanned, or is to be left out
  Extent n;
  double spacing_mm[3];
  // Features of a network in place of MIND-SSC, for what follows the search: (d, h, w, channels), channels a multiple
  // of 16 of which the last four are written here; null: MIND-SSC.
  const Half* fixed_features;
  const Half* moving_features;
  int channels;
};

enum class Side { fixed, moving };

// What a network knows beforehand.
struct Prior {
  const float* u = nullptr;  // (3, d, h, w), in voxels: what is left after it is searched for and refined
  // Writes the features of an image on the grid of the pair. Asked for the moving image when the affine part of its
  // motion, found by MIND-SSC, is taken out of it.
  std::function<void(Side, const float* image, Half* features)> describe;
  int channels = 0;  // of those features
};

inline double finest(const double spacing_mm[3]) { return std::min({spacing_mm[0], spacing_mm[1], spacing_mm[2]}); }

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
  float rate_vox = 0.4f, last_rate = 0.2f;  // longest step: at the start, and the share of it that is left at the end
  float fluid_vox = 1.0f, elastic_vox = 0.5f;  // smoothing of each force and of the displacement
  int dilation = 2;                            // of MIND-SSC, in voxels of the level
  float feature_weight = 1, intensity_weight = 1;
  float floor = 0.18f;  // of the force, in units of its root mean square before smoothing
};

struct DeformSettings {
  SearchSettings search;
  int levels = 2;
  LevelSettings level[4];
};

struct ImageFacts {
  Foreground foreground;
  float tissue;              // a smoothed voxel above this belongs to the body, not to the noise around it
  float scale, offset;       // intensity to histogram bins
  double detail_vox;         // size of the smallest structures: root of variance over mean squared slope
  double contrast_to_noise;  // standard deviation of a neighbourhood over that of the noise: a quarter of the body has
                             // less
  bool flat;                 // no contrast
};

struct DeformFacts {
  ImageFacts fixed, moving;
  double detail_vox;         // of the blurrier of the two
  double contrast_to_noise;  // of the noisier
  double correlation;        // Pearson's, of the intensities where both show tissue: near 1 if they are of one contrast
};

DeformFacts look(const Context&, const DeformInput&);
DeformSettings choose(const DeformFacts&, const DeformInput&);

constexpr float kLeastDeterminant = 0.02f;  // of a deformation: far above what rounding to float32 mm can undo

struct Deformation {
  Buffer<float> u;       // (3, d, h, w), voxels of the fixed grid, fixed to moving
  bool complete = true;  // false: time was up, u is the best so far
  AffineMap affine;      // the part of u that the search found to be common to the body, in indices of the fixed grid
  double search_inconsistency_vox = 0;  // mean |forward then backward| of the dense search before it is made consistent
};

using Interrupt = std::function<bool(double progress)>;  // progress in [0, 1]; true: stop now

Deformation deform(const Context&, const DeformInput&, const DeformFacts&, const DeformSettings&, const Interrupt&,
                   const Prior& = {});

}  // namespace mmreg
