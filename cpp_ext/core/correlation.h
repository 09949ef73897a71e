// Squared correlation of two images in a window, from the window means of five products.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

constexpr int kCorrelatedProducts = 5;
constexpr float kRaisedBy = 1e-4f;  // fraction of the image variance; exceeds the rounding of sums over windows

struct Moments {  // sums of the differences from an origin and of their squares
  double sum, square;
};

struct Statistics {
  float mean, variance;  // NaN, if a voxel is not finite
};

MMREG_INLINE Statistics statistics_of(Moments m, float origin, double count) {
  const double a = m.sum / count, variance = m.square / count - a * a;
  return {float(origin + a), float(variance <= 0 ? 0 : variance)};
}

// Returns the squared correlation. m: window means of f, g, f^2, g^2, f g. The window variances are raised by a small
// fraction of the image variances, so that windows without contrast count as uncorrelated. `Real` is float or a vector.
template <class Real>
MMREG_INLINE Real squared_correlation(const Real m[kCorrelatedProducts], float raise_f, float raise_g) {
  const Real covariance = m[4] - m[0] * m[1];
  const Real f = m[2] - m[0] * m[0], g = m[3] - m[1] * m[1];
  const Real zero = Real{};
  return covariance * covariance / (((f > zero ? f : zero) + raise_f) * ((g > zero ? g : zero) + raise_g));
}

}  // namespace mmreg::MMREG_TARGET
