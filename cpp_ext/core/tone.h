// Applies a tone to one intensity.
#pragma once
#include "core/alignment_data.h"

namespace mmreg::MMREG_TARGET {

MMREG_INLINE float apply_tone(const Tone& tone, float value) {
  const float x = (value - tone.low) * (float(Tone::steps) / (tone.high - tone.low));
  const float inside = x > 0 ? (x < float(Tone::steps) ? x : float(Tone::steps)) : 0.0f;
  const int at = int(inside) < Tone::steps ? int(inside) : Tone::steps - 1;
  const float toned = tone.knot[at] + (inside - float(at)) * (tone.knot[at + 1] - tone.knot[at]);
  return value == value ? toned : value;
}

}  // namespace mmreg::MMREG_TARGET
