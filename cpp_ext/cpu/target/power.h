// Powers of two of whole vectors.
#pragma once
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

// Returns 2^t for t <= 0: 2^k times a polynomial on [-1/2, 1/2], relative error 1e-7 before rounding, at least 2^-126.
// NaN is preserved.
MMREG_INLINE Floats power_of_two(Floats t) {
  t = max(splat(-125.5f), t);
  const Floats shifted = t + 12582912.0f;  // 1.5 * 2^23: rounds t to an integer in the low bits
  const Floats f = t - (shifted - 12582912.0f);
  const Floats p =
      1.0f + f * (0.693147004f + f * (0.240222424f + f * (0.0555073358f + f * (0.00967151299f + f * 0.00132647273f))));
  const Floats power = from_bits(Ints(Words(bits(p)) + (Words(bits(shifted)) << 23)));  // unsigned: it wraps around
  return t == t ? power : t;
}

}  // namespace mmreg::MMREG_TARGET
