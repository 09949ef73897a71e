// One point at a time, under the names that cpu/target/simd.h gives to vectors of them: what core/ is written in is
// then the same arithmetic on both.
#pragma once
#include <cmath>
#include <cstring>

#include "core/types.h"

namespace mmreg::MMREG_TARGET {

constexpr int lanes = 1;
typedef float Floats;
typedef std::int32_t Ints;

MMREG_INLINE Floats splat(float x) { return x; }
MMREG_INLINE Ints splat(int x) { return x; }
MMREG_INLINE Floats to_floats(Ints v) { return float(v); }
MMREG_INLINE Ints truncate(Floats v) { return Ints(v); }  // |v| < 2^31
MMREG_INLINE Floats abs(Floats v) { return fabsf(v); }
MMREG_INLINE Ints lane_numbers() { return 0; }

// IEEE min and max; where an argument is NaN the result is `b`.
MMREG_INLINE Floats min(Floats a, Floats b) { return a < b ? a : b; }
MMREG_INLINE Floats max(Floats a, Floats b) { return a > b ? a : b; }
MMREG_INLINE Ints min(Ints a, Ints b) { return a < b ? a : b; }
MMREG_INLINE Ints max(Ints a, Ints b) { return a > b ? a : b; }
MMREG_INLINE Floats floor(Floats v) { return floorf(v); }
MMREG_INLINE Floats sqrt(Floats v) { return sqrtf(v); }
MMREG_INLINE bool differ(Floats a, Floats b) { return a != b; }  // NaN differs from everything

struct One {};  // the count of every load and store

MMREG_INLINE Floats load(const float* p, One = {}) { return *p; }
MMREG_INLINE Ints load(const std::int32_t* p, One = {}) { return *p; }
MMREG_INLINE void store(float* p, Floats v, One = {}) { *p = v; }
MMREG_INLINE void store(std::int32_t* p, Ints v, One = {}) { *p = v; }

MMREG_INLINE Floats gather(const float* base, Ints index) { return base[index]; }

struct NextTo {
  Floats low, high;
};

// base[index] and base[index + 1].
MMREG_INLINE NextTo gather_pairs(const float* base, Ints index) { return {base[index], base[index + 1]}; }

}  // namespace mmreg::MMREG_TARGET
