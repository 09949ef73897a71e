// Bins of a joint histogram: plain counts, or the cubic B-spline window of Mattes et al., IEEE TMI 22(1), 2003.
#pragma once
#include "core/types.h"

namespace mmreg {

struct Binning {  // values are clamped to [low, high]
  float low, high;
  int bins;
};

enum class Parzen : int {
  none,  // every sample counts in one bin of each image, (v - low) / (high - low) * bins rounded down
  cubic  // 2 bins of padding at both ends; a sample is spread over four bins of the moving image
};

namespace MMREG_TARGET {

constexpr int kParzenPadding = 2;

struct Scale {  // position of a value in bins: (v - low) * factor + first, in bins first .. last
  float low, factor;
  int first, last;
};

inline Scale scale_of(Binning b, Parzen parzen) {
  const int padding = parzen == Parzen::cubic ? kParzenPadding : 0;
  const float range = b.high > b.low ? b.high - b.low : 1.0f;
  return {b.low, float(b.bins - 2 * padding) / range, padding, b.bins - 1 - padding};
}

// Weights of the bins -1 .. 2 around a sample at position t in [0, 1] of its bin: sum over m of kParzenCubic[k][m] t^m.
constexpr double kParzenCubic[4][4] = {
    {1. / 6, -.5, .5, -1. / 6}, {4. / 6, 0, -1, .5}, {1. / 6, .5, .5, -.5}, {0, 0, 0, 1. / 6}};

}  // namespace MMREG_TARGET
}  // namespace mmreg
