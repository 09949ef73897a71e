// The gradient of the similarity at a voxel: of the squared difference of the features, and of the gain of its pair of
// intensities. `Real` is a
// float, or a vector of channels.
#pragma once
#include "core/parzen.h"
#include "core/similarity_gradient_data.h"
#include "core/slope.h"

namespace mmreg::MMREG_TARGET {

template <class Real>
struct FeatureGradient {
  Real along[3], energy;
};

template <class Real>
MMREG_INLINE void add(Real difference, const Slope<Real>& s, FeatureGradient<Real>& features) {
  features.energy += difference * difference;
  for (int k = 0; k < 3; ++k) features.along[k] += difference * s.along[k];
}

// Returns whether a voxel is compared: its features, intensities, validity and displacement are all finite.
MMREG_INLINE bool is_compared(float energy, float fixed, float moving, float valid, float moved) {
  const float all = energy + fixed + moving + valid + moved;
  return all - all == 0;
}

// Index of the first of the four bins of a sample in the joint histogram; both intensities within the padding.
MMREG_INLINE int joint_bin(float fixed, Bin moving) { return int(fixed + 0.5f) * kHistogramBins + moving.first; }

// Minus the derivative of the gain of a sample with respect to its intensity; `slope` is that of the window over the
// four bins.
MMREG_INLINE float fall(const float* slope, const float* gain) {
  float down = 0;
  for (int k = 0; k < 4; ++k) down -= slope[k] * gain[k];
  return down;
}

struct Gradient {  // along one axis
  float feature, intensity, both;
};

// `inside` is 0 where the point was clamped to the grid, and the validity of the voxel elsewhere.
MMREG_INLINE Gradient gradient_along(const SimilarityGradientArguments& a, float inside, float feature,
                                     float intensity) {
  const float f = inside * feature, i = inside * intensity;
  return {f, i, a.feature_weight * f + a.intensity_weight * i};
}

}  // namespace mmreg::MMREG_TARGET
