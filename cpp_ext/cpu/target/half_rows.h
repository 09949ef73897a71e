// Converts rows of Half to float and back, whole vectors first.
#pragma once
#include "core/half.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

inline void widen_row(const Half* in, std::int64_t count, float* __restrict__ out) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(out + i, load(in + i));
  for (; i < count; ++i) out[i] = widen(in[i]);
}

inline void narrow_row(const float* in, std::int64_t count, Half* __restrict__ out) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(out + i, load(in + i));
  for (; i < count; ++i) out[i] = narrow(in[i]);
}

}  // namespace mmreg::MMREG_TARGET
