// IEEE binary16 in integer arithmetic, for processors without conversion instructions. Rounds to nearest even and
// preserves infinities and NaN. Branch-free, so that loops around it vectorise.
#pragma once
#include <cstring>

#include "core/types.h"

namespace mmreg::MMREG_TARGET {

MMREG_INLINE std::uint32_t bits_of(float x) {
  std::uint32_t u;
  std::memcpy(&u, &x, 4);
  return u;
}

MMREG_INLINE float float_of(std::uint32_t u) {
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}

MMREG_INLINE float widen(Half h) {
  const std::uint32_t sign = std::uint32_t(h.bits & 0x8000u) << 16, magnitude = std::uint32_t(h.bits & 0x7fffu) << 13;
  const std::uint32_t normal = magnitude + (112u << 23), special = magnitude + (224u << 23);
  const float subnormal = float_of(magnitude + (113u << 23)) - float_of(113u << 23);  // exact
  const std::uint32_t low = bits_of(subnormal);
  const std::uint32_t value = magnitude >= (31u << 23) ? special : magnitude < (1u << 23) ? low : normal;
  return float_of(value | sign);
}

MMREG_INLINE Half narrow(float x) {
  const std::uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  const std::uint32_t low = bits_of(float_of(magnitude) + 0.5f) - (126u << 23);  // the sum rounds to 2^-24
  const std::uint32_t special = magnitude > (255u << 23) ? 0x7e00u : 0x7c00u;
  const std::uint32_t value = magnitude >= (143u << 23) ? special : magnitude < (113u << 23) ? low : normal;
  return {std::uint16_t(value | sign)};
}

}  // namespace mmreg::MMREG_TARGET
