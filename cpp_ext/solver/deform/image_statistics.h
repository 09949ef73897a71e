// Statistics of a pair of images from which its settings are selected: intensity range, noise, detail, correlation.
#pragma once
#include "ops/context.h"
#include "solver/deform/input.h"

namespace mmreg {

struct ImageStatistics {
  Foreground foreground;
  float tissue;              // threshold of the smoothed intensity between the body and the noise around it
  float scale, offset;       // histogram bin = intensity * scale + offset
  double detail_vox;         // size of the smallest structures: sqrt(variance / mean squared gradient)
  double contrast_to_noise;  // lower quartile over the body of the local standard deviation over that of the noise
  bool flat;                 // the image is constant
};

struct PairStatistics {
  ImageStatistics fixed, moving;
  double detail_vox;         // of the blurrier image
  double contrast_to_noise;  // of the noisier image
  double correlation;        // Pearson's, where both images show tissue: near 1 for images of the same contrast
};

// `fixed`: of the fixed image, if they were measured before.
PairStatistics measure_image_statistics(const Context&, const DeformInput&, const ImageStatistics* fixed = nullptr);

}  // namespace mmreg
