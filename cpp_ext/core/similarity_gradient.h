// Gradient of the similarity at a voxel: of the squared feature difference, and of the gain of its pair of intensities.
// `Real` is a float or a vector of channels.
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

// Returns whether the features, intensities, validity and displacement of a voxel are all finite.
MMREG_INLINE bool is_compared(float energy, float fixed, float moving, float valid, float moved) {
  const float all = energy + fixed + moving + valid + moved;
  return all - all == 0;
}

// Returns the index of the first of a sample's four bins in the joint histogram, for intensities inside the padding.
MMREG_INLINE int joint_bin(float fixed, Bin moving) { return int(fixed + 0.5f) * kHistogramBins + moving.first; }

// Returns minus the derivative of the gain of a sample with respect to its intensity. `slope` is the derivative of the
// window at the four bins.
MMREG_INLINE float fall(const float* slope, const float* gain) {
  float down = 0;
  for (int k = 0; k < 4; ++k) down -= slope[k] * gain[k];
  return down;
}

struct Gradient {  // along one axis
  float feature, intensity, both;
};

// `inside` is 0 where the point was clamped to the grid, otherwise the validity of the voxel.
MMREG_INLINE Gradient gradient_along(const SimilarityGradientArguments& a, float inside, float feature,
                                     float intensity) {
  const float f = inside * feature, i = inside * intensity;
  return {f, i, a.feature_weight * f + a.intensity_weight * i};
}

}  // namespace mmreg::MMREG_TARGET
