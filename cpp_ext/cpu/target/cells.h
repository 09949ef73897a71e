// Loads and stores of costs, which are float or Half.
#pragma once
#include "core/displacements.h"
#include "cpu/target/half_rows.h"
#include "cpu/target/operations.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

// Only the first `count` of kLanes costs.
template <class Cost>
MMREG_INLINE Floats load_some(const Cost* in, int count) {
  if (count == kLanes) return load(in);
  Cost all[kLanes] = {};
  std::memcpy(all, in, std::size_t(count) * sizeof(Cost));
  return load(all);
}

template <class Cost>
MMREG_INLINE void store_some(Cost* out, Floats v, int count) {
  if (count == kLanes) return store(out, v);
  Cost all[kLanes];
  store(all, v);
  std::memcpy(out, all, std::size_t(count) * sizeof(Cost));
}

}  // namespace mmreg::MMREG_TARGET
