// Applies an intensity map to one intensity, and computes the mean of a block of voxels.
#pragma once
#include "core/alignment_data.h"

namespace mmreg::MMREG_TARGET {

MMREG_INLINE float apply_intensity_map(const IntensityMap& map, float value) {
  const float x = (value - map.low) * (float(IntensityMap::steps) / (map.high - map.low));
  const float inside = x > 0 ? (x < float(IntensityMap::steps) ? x : float(IntensityMap::steps)) : 0.0f;
  const int at = int(inside) < IntensityMap::steps ? int(inside) : IntensityMap::steps - 1;
  const float mapped = map.knot[at] + (inside - float(at)) * (map.knot[at + 1] - map.knot[at]);
  return value == value ? mapped : value;
}

MMREG_INLINE float clipped(float value, float low, float high) {
  return value > low ? (value < high ? value : high) : low;
}

MMREG_INLINE bool is_known(float value) { return value - value == 0; }  // neither NaN nor infinite

// Mean of the `known` voxels of a block of which `needed` must be known; NaN if fewer are.
MMREG_INLINE float block_mean(float sum, float known, float needed) {
  return known >= needed && known > 0 ? sum / known : __builtin_nanf("");
}

struct Blocks {  // of an image, centred in it
  Extent n;      // how many
  int z, y, x;   // where they start
  float needed;  // half of the voxels of one
};

inline Blocks blocks_of(Extent n, Extent factor) {
  const Extent m = {n.d / factor.d, n.h / factor.h, n.w / factor.w};
  return {m, (n.d - m.d * factor.d) / 2, (n.h - m.h * factor.h) / 2, (n.w - m.w * factor.w) / 2,
          0.5f * float(factor.d) * float(factor.h) * float(factor.w)};
}

}  // namespace mmreg::MMREG_TARGET
