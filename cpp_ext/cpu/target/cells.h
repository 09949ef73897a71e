// Stores of costs, which are float or Half.
#pragma once
#include "core/displacements.h"
#include "cpu/target/half_rows.h"
#include "cpu/target/operations.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

// Stores the first `count` of kLanes costs.
template <class Cost>
MMREG_INLINE void store_some(Cost* out, Floats v, int count) {
  if (count == kLanes) return store(out, v);
  Cost all[kLanes];
  store(all, v);
  std::memcpy(out, all, std::size_t(count) * sizeof(Cost));
}

}  // namespace mmreg::MMREG_TARGET
