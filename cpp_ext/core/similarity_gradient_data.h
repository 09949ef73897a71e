// Arguments of the operation `similarity_gradient`: one pass over the fixed grid that compares the features of the
// fixed image with those of the moving image at p + u(p), and their intensities through a joint histogram.
#pragma once
#include "core/types.h"

namespace mmreg {

// The last four channels of a feature image are not features: the image itself in histogram bins, its
// validity (1 inside the scan, 0 outside), and two zeros.
enum Extra : int { kExtraChannels = 4, intensity_channel = -4, validity_channel = -3 };

// Intensities lie in [kHistogramPadding, kHistogramBins - 1 - kHistogramPadding], so that the cubic Parzen
// window never leaves the histogram (Mattes et al., IEEE TMI 22(1), 2003).
enum Histogram : int { kHistogramBins = 32, kHistogramPadding = 2, kHistogramCells = kHistogramBins * kHistogramBins };

struct SimilaritySums {
  double features;           // sum of squared feature differences, divided by twice the channels
  double features_squared;   // sum of |gradient of the features|^2
  double intensity_squared;  // sum of |gradient of the intensities|^2
  double count;              // voxels compared
};

struct SimilarityGradientArguments {
  const Half* fixed;   // (d, h, w, channels)
  const Half* moving;  // (d, h, w, channels)
  int channels;        // a multiple of 16, the last four as above
  Extent n;
  const std::int32_t* rows;  // (d * h, 2): first and one past the last voxel of each row to compare
  const float* u;            // (3, d, h, w)
  const float* gain;         // (bins, bins): log p(f, m) / p(m), or nullptr: features alone
  float feature_weight, intensity_weight;
  float* gradient;    // (3, d, h, w): downhill direction times -1; 0 outside the rows
  double* histogram;  // (bins, bins) fixed by moving, Parzen counts; or nullptr
  SimilaritySums* sums;
};

}  // namespace mmreg
