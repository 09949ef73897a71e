// Statistics of a pair of images that its settings are selected by: intensity range, noise, detail, correlation.
#pragma once
#include "ops/context.h"
#include "solver/deform/input.h"

namespace mmreg {

struct ImageStatistics {
  Foreground foreground;
  float tissue;              // a smoothed voxel above this belongs to the body, not to the noise around it
  float scale, offset;       // intensity to histogram bins
  double detail_vox;         // size of the smallest structures: root of variance over mean squared slope
  double contrast_to_noise;  // lower quartile over the body of: standard deviation of a neighbourhood over the noise's
  bool flat;                 // no contrast
};

struct PairStatistics {
  ImageStatistics fixed, moving;
  double detail_vox;         // of the blurrier image
  double contrast_to_noise;  // of the noisier image
  double correlation;        // Pearson's, of the intensities where both show tissue: near 1 for images of one contrast
};

PairStatistics measure_image_statistics(const Context&, const DeformInput&);

}  // namespace mmreg
