// Adam step of one voxel (Kingma and Ba, ICLR 2015) with one second moment for all three components, which preserves
// the direction of the gradient.
#pragma once
#include <cmath>

#include "core/adam_step_data.h"

namespace mmreg::MMREG_TARGET {

struct Pace {  // factors of one iteration, the same for every voxel
  float mean_gain, square_gain, mean_scale, square_scale, floor;
};

inline Pace pace(const AdamStepArguments& a) {
  float mean_left = 1, square_left = 1;
  for (int i = 0; i < a.iteration; ++i) {
    mean_left *= a.mean_decay;
    square_left *= a.square_decay;
  }
  return {1 - a.mean_decay, 1 - a.square_decay, -a.rate_vox / (1 - mean_left), 1 / (1 - square_left),
          a.floor * a.floor};
}

MMREG_INLINE float next_square(const Pace& p, float square, float g0, float g1, float g2) {
  return square + p.square_gain * (g0 * g0 + g1 * g1 + g2 * g2 - square);
}

MMREG_INLINE float next_mean(const Pace& p, float mean, float gradient) {
  return mean + p.mean_gain * (gradient - mean);
}

// Factor from the running mean to the step.
MMREG_INLINE float step_scale(const Pace& p, float square) {
  return p.mean_scale / sqrtf(square * p.square_scale + p.floor);
}

}  // namespace mmreg::MMREG_TARGET
