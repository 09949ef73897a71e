// Intensity map of one voxel, and mean of a block of voxels.
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

// Returns the mean of the `known` finite voxels of a block, or NaN if there are fewer than `needed`.
MMREG_INLINE float block_mean(float sum, float known, float needed) {
  return known >= needed && known > 0 ? sum / known : __builtin_nanf("");
}

struct Blocks {  // partition of an image into blocks, centred in the image
  Extent n;      // number of blocks along each axis
  int z, y, x;   // first voxel of the first block
  float needed;  // half the voxels of a block
};

inline Blocks blocks_of(Extent n, Extent factor) {
  const Extent m = {n.d / factor.d, n.h / factor.h, n.w / factor.w};
  return {m, (n.d - m.d * factor.d) / 2, (n.h - m.h * factor.h) / 2, (n.w - m.w * factor.w) / 2,
          0.5f * float(factor.d) * float(factor.h) * float(factor.w)};
}

}  // namespace mmreg::MMREG_TARGET
