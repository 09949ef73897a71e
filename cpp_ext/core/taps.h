// Weights of a symmetric filter along one axis. The radius along an axis of 1 is 0.
#pragma once
#include <cmath>

#include "core/types.h"

namespace mmreg::MMREG_TARGET {

constexpr int kMaxRadius = 128;

struct Taps {  // weight[k] of the neighbours at -k and +k
  int radius;
  float weight[kMaxRadius + 1];
};

// Returns the weights of a Gaussian truncated at ceil(4 sigma).
inline Taps gaussian_taps(float sigma, int n) {
  Taps t;
  t.radius = sigma > 0 && n > 1 ? int(std::ceil(4 * double(sigma))) : 0;
  if (t.radius > kMaxRadius) t.radius = kMaxRadius;
  double w[kMaxRadius + 1] = {1}, sum = 1;
  for (int k = 1; k <= t.radius; ++k) {
    w[k] = std::exp(-0.5 * k * k / (double(sigma) * sigma));
    sum += 2 * w[k];
  }
  for (int k = 0; k <= t.radius; ++k) t.weight[k] = float(w[k] / sum);
  return t;
}

// Returns the weights of the mean of 2 radius + 1 voxels.
inline Taps box_taps(int radius, int n) {
  Taps t;
  t.radius = n > 1 ? radius : 0;
  for (int k = 0; k <= t.radius; ++k) t.weight[k] = 1 / float(2 * t.radius + 1);
  return t;
}

}  // namespace mmreg::MMREG_TARGET
