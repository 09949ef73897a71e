// Arguments of the operation `similarity_gradient`: one pass over the fixed grid that compares fixed features with
// moving features at p + u(p), and intensities through a joint histogram.
#pragma once
#include "core/types.h"

namespace mmreg {

// The last four channels of a feature image are not features: intensity in histogram bins, validity (1 inside the scan,
// 0 outside), and two zeros.
enum Extra : int { kExtraChannels = 4, intensity_channel = -4, validity_channel = -3 };

// Intensities lie in [kHistogramPadding, kHistogramBins - 1 - kHistogramPadding], so that the cubic Parzen window stays
// inside the histogram (Mattes et al., IEEE TMI 22(1), 2003).
enum Histogram : int { kHistogramBins = 32, kHistogramPadding = 2, kHistogramCells = kHistogramBins * kHistogramBins };

struct SimilaritySums {
  double features;           // sum of squared feature differences, divided by twice the channels
  double features_squared;   // sum of |gradient of the features|^2
  double intensity_squared;  // sum of |gradient of the intensities|^2
  double count;              // number of voxels compared
};

struct SimilarityGradientArguments {
  const Half* fixed;   // (d, h, w, channels)
  const Half* moving;  // (d, h, w, channels)
  int channels;        // a multiple of 16, the last four as above
  Extent n;
  const std::int32_t* rows;  // (d * h, 2), the range [first, end) of voxels to compare in each row
  const float* u;            // (3, d, h, w)
  const float* gain;         // (bins, bins), log p(f, m) / p(m); nullptr for features only
  float feature_weight, intensity_weight;
  float* gradient;    // (3, d, h, w), ascent direction of the dissimilarity; 0 outside the rows
  double* histogram;  // (fixed bins, moving bins), Parzen counts; may be nullptr
  SimilaritySums* sums;
};

}  // namespace mmreg
