// Scalars under the names of the vectors in cpu/target/simd.h, so that core/ is the same arithmetic on both.
#pragma once
#include <cmath>
#include <cstring>

#include "core/half.h"
#include "core/types.h"
#if defined(__CUDACC__)
#include <cuda_fp16.h>
#endif

namespace mmreg::MMREG_TARGET {

constexpr int kLanes = 1;
typedef float Floats;
typedef std::int32_t Ints;

MMREG_INLINE Floats splat(float x) { return x; }
MMREG_INLINE Ints splat(int x) { return x; }
MMREG_INLINE Floats to_floats(Ints v) { return float(v); }
MMREG_INLINE Ints truncate(Floats v) { return Ints(v); }  // |v| < 2^31
MMREG_INLINE Floats abs(Floats v) { return fabsf(v); }
MMREG_INLINE Ints lane_numbers() { return 0; }

// Minimum and maximum; the result is `b` if an argument is NaN.
MMREG_INLINE Floats min(Floats a, Floats b) { return a < b ? a : b; }
MMREG_INLINE Floats max(Floats a, Floats b) { return a > b ? a : b; }
MMREG_INLINE Ints min(Ints a, Ints b) { return a < b ? a : b; }
MMREG_INLINE Ints max(Ints a, Ints b) { return a > b ? a : b; }
MMREG_INLINE Floats floor(Floats v) { return floorf(v); }
MMREG_INLINE Floats sqrt(Floats v) { return sqrtf(v); }
MMREG_INLINE bool any(bool mask) { return mask; }
MMREG_INLINE bool differ(Floats a, Floats b) { return a != b; }  // NaN differs from everything

struct One {};  // the count of every load and store

MMREG_INLINE Floats load(const float* p, One = {}) { return *p; }
MMREG_INLINE Ints load(const std::int32_t* p, One = {}) { return *p; }
MMREG_INLINE void store(float* p, Floats v, One = {}) { *p = v; }
MMREG_INLINE void store(std::int32_t* p, Ints v, One = {}) { *p = v; }

// Half precision, by instructions of the device.
MMREG_INLINE float to_float(Half h) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(h.bits));
#else
  return widen(h);
#endif
}

MMREG_INLINE Half to_half(float v) {
#if defined(__CUDA_ARCH__)
  return {__half_as_ushort(__float2half_rn(v))};
#else
  return narrow(v);
#endif
}

MMREG_INLINE Floats load(const Half* p, One = {}) { return to_float(*p); }
MMREG_INLINE void store(Half* p, Floats v, One = {}) { *p = to_half(v); }

struct Eight {  // neighbouring channels, the size of one load
  std::uint32_t pair[4];
  MMREG_INLINE float operator[](int k) const { return to_float(Half{std::uint16_t(pair[k / 2] >> 16 * (k % 2))}); }
};

MMREG_INLINE Eight load_eight(const Half* p) {  // p is 16-byte aligned
#if defined(__CUDA_ARCH__)
  const uint4 v = __ldg(reinterpret_cast<const uint4*>(p));
  return {{v.x, v.y, v.z, v.w}};
#else
  Eight v;
  std::memcpy(&v, p, sizeof v);
  return v;
#endif
}

MMREG_INLINE void store_eight(Half* p, const float (&v)[8]) {  // p is 16-byte aligned
  std::uint32_t pair[4];
  for (int k = 0; k < 4; ++k) pair[k] = to_half(v[2 * k]).bits | std::uint32_t(to_half(v[2 * k + 1]).bits) << 16;
#if defined(__CUDA_ARCH__)
  *reinterpret_cast<uint4*>(p) = make_uint4(pair[0], pair[1], pair[2], pair[3]);
#else
  std::memcpy(p, pair, sizeof pair);
#endif
}

MMREG_INLINE Floats gather(const float* base, Ints index) { return base[index]; }
MMREG_INLINE Floats gather(const Half* base, Ints index) { return to_float(base[index]); }

struct NextTo {
  Floats low, high;
};

// base[index] and base[index + 1].
MMREG_INLINE NextTo gather_pairs(const float* base, Ints index) { return {base[index], base[index + 1]}; }
MMREG_INLINE NextTo gather_pairs(const Half* base, Ints index) {
  return {to_float(base[index]), to_float(base[index + 1])};
}

}  // namespace mmreg::MMREG_TARGET
