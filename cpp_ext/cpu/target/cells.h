// Costs of a coarse grid in memory: as floats or as Half.
#pragma once
#include "core/displacements.h"
#include "cpu/target/half_rows.h"
#include "cpu/target/operations.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

// The first `count` of `lanes` costs.
template <class Cost>
MMREG_INLINE Floats load_some(const Cost* in, int count) {
  if (count == lanes) return load(in);
  Cost all[lanes] = {};
  std::memcpy(all, in, std::size_t(count) * sizeof(Cost));
  return load(all);
}

template <class Cost>
MMREG_INLINE void store_some(Cost* out, Floats v, int count) {
  if (count == lanes) return store(out, v);
  Cost all[lanes];
  store(all, v);
  std::memcpy(out, all, std::size_t(count) * sizeof(Cost));
}

}  // namespace mmreg::MMREG_TARGET
