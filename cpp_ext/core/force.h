// What pulls a voxel: the squared difference of the features, and the gain of its pair of intensities. `Real` is a
// float, or a vector of channels.
#pragma once
#include "core/force_data.h"
#include "core/parzen.h"
#include "core/slope.h"

namespace mmreg::MMREG_TARGET {

template <class Real>
struct Pull {
  Real along[3], energy;
};

template <class Real>
MMREG_INLINE void add(Real difference, const Slope<Real>& s, Pull<Real>& pull) {
  pull.energy += difference * difference;
  for (int k = 0; k < 3; ++k) pull.along[k] += difference * s.along[k];
}

// Whether a voxel is compared: all that it is compared by is finite, and so is where it goes.
MMREG_INLINE bool is_compared(float energy, float fixed, float moving, float valid, float moved) {
  const float all = energy + fixed + moving + valid + moved;
  return all - all == 0;
}

// Of the joint histogram, the first of the four bins of a sample; both intensities within the padding.
MMREG_INLINE int joint_bin(float fixed, Bin moving) { return int(fixed + 0.5f) * kHistogramBins + moving.first; }

// How fast the gain of a sample falls with its intensity; `slope` is that of the window over the four bins.
MMREG_INLINE float fall(const float* slope, const float* gain) {
  float down = 0;
  for (int k = 0; k < 4; ++k) down -= slope[k] * gain[k];
  return down;
}

struct Force {  // along one axis
  float feature, intensity, both;
};

// `inside` is 0 where the voxel must not be pulled, and its validity elsewhere.
MMREG_INLINE Force force_along(const ForceArguments& a, float inside, float feature, float intensity) {
  const float f = inside * feature, i = inside * intensity;
  return {f, i, a.feature_weight * f + a.intensity_weight * i};
}

}  // namespace mmreg::MMREG_TARGET
