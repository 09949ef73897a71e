// Order-preserving integer keys of floats, and the position of a percentile.
#pragma once
#include "core/half.h"

namespace mmreg::MMREG_TARGET {

constexpr int kMostFractions = 16;
constexpr std::int32_t kLeftOut = -1;  // key of an excluded value; not the key of any finite number

// Returns the key of a number from its bits: as unsigned integers, keys are ordered like the numbers. `Int` is a 32-bit
// integer or a vector of them.
template <class Int>
MMREG_INLINE Int key_of(Int bits) {
  const Int zero = Int{}, key = bits ^ (bits >> 31 | (zero + std::int32_t(0x80000000)));
  return (bits & 0x7f800000) == zero + 0x7f800000 ? zero + kLeftOut : key;
}

MMREG_INLINE float number_of(std::uint32_t key) { return float_of(key ^ (key >> 31 ? 0x80000000u : 0xffffffffu)); }

struct Percentile {  // interpolates by t between the order statistics `low` and `high`
  std::int64_t low, high;
  double t;
};

MMREG_INLINE Percentile percentile(double fraction, std::int64_t numbers) {
  const double position = fraction * double(numbers - 1);
  const std::int64_t low = std::int64_t(position);
  return {low, low + 1 < numbers ? low + 1 : low, position - double(low)};
}

MMREG_INLINE float between(float low, float high, double t) { return float(low + t * (double(high) - low)); }

MMREG_INLINE std::int64_t nearest_rank(double fraction, std::int64_t numbers) {  // rounds half to even
  return std::int64_t(__builtin_rint(fraction * double(numbers - 1)));
}

// Returns the bin that holds the index-th number and reduces the index to its position inside that bin.
template <class Count>
MMREG_FUNCTION std::uint32_t descend(const Count* table, std::int64_t& index) {
  std::uint32_t bin = 0;
  for (; index >= std::int64_t(table[bin]); ++bin) index -= std::int64_t(table[bin]);
  return bin;
}

}  // namespace mmreg::MMREG_TARGET
