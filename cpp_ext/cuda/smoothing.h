// Separable filters of images.
#pragma once
#include "core/taps.h"
#include "ops/operations.h"

namespace mmreg::MMREG_TARGET {

// Filters along one axis, not in place.
void filter_along(Queue&, int axis, Image, const Taps&, float* out);

// Filters along all three axes, also in place.
void smooth(Queue&, Image, const Taps taps[3], float* out);

}  // namespace mmreg::MMREG_TARGET
