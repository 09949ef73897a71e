// Normalisation of the intensity of one voxel to [0, 1].
#pragma once
#include "core/normalisation_data.h"
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct Bounds {  // intensities mapped to 0 and 1
  double low, high;
  bool flat;  // all intensities are equal
};

// `low` and `high` are the percentiles, if the kind uses them. If they coincide, as in a mask, the lowest value of the
// image maps to 0.
MMREG_INLINE Bounds bounds_of(const Normalisation& s, const Extremes& all, float low, float high) {
  const bool flat = !(all.smallest < all.largest);
  if (s.kind == Normalisation::window) return {s.low, s.high, flat};
  if (s.kind == Normalisation::minmax || flat) return {all.smallest, all.largest, flat};
  if (high > low) return {low, high, false};
  return {all.smallest, high, false};
}

// Returns whether the range is safe for division in float32.
MMREG_INLINE bool is_ordinary(const Bounds& b) { return b.high - b.low > 1e-30 && b.high - b.low < 1e37; }

MMREG_INLINE float clamped(float v, float low, float high) {  // NaN becomes `low`
  const float least = v > low ? v : low;
  return least < high ? least : high;
}

MMREG_INLINE float normalised(float v, const Bounds& b) {
  if (!(v - v == 0) || b.flat) return 0;
  if (is_ordinary(b)) {
    const float low = float(b.low), share = (clamped(v, low, float(b.high)) - low) * float(1 / (b.high - b.low));
    return clamped(share, 0.0f, 1.0f);  // rounding may exceed 1
  }
  const double wide = double(v) < b.low ? b.low : double(v) > b.high ? b.high : double(v);
  return float((wide - b.low) / (b.high - b.low));
}

}  // namespace mmreg::MMREG_TARGET
