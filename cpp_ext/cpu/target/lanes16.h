// Sixteen float lanes on every target: the channels of one voxel. The compiler splits them into the target's vectors;
// only the conversion from half precision needs its own code.
#pragma once
#include "core/half.h"
#include "core/types.h"
#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace mmreg::MMREG_TARGET {

typedef float Lanes16 __attribute__((vector_size(64)));

MMREG_INLINE Lanes16 load_half(const Half* p) {
#if defined(__AVX512F__)
  return (Lanes16)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  union {
    __m256 part[2];
    Lanes16 whole;
  } v;
  v.part[0] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  v.part[1] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + 1));
  return v.whole;
#else
  Lanes16 value;
  for (int k = 0; k < 16; ++k) value[k] = widen(p[k]);
  return value;
#endif
}

MMREG_INLINE float sum(Lanes16 v) {  // the same summation tree on every target
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float part[8];
  for (int k = 0; k < 8; ++k) part[k] = v[k] + v[k + 8];
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
#endif
}

}  // namespace mmreg::MMREG_TARGET
