// Rows of Half to float and back: by instruction where the target has one, else by core/half.h. Both round
// to nearest even, so that all targets give the same bits.
#pragma once
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "core/half.h"

namespace mmreg::MMREG_TARGET {

inline void widen_row(const Half* in, std::int64_t count, float* __restrict__ out) {
  std::int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16)
    _mm512_storeu_ps(out + i, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i))));
#elif defined(__F16C__)
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
#endif
  for (; i < count; ++i) out[i] = widen(in[i]);
}

inline void narrow_row(const float* in, std::int64_t count, Half* __restrict__ out) {
  std::int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm512_cvtps_ph(_mm512_loadu_ps(in + i), 0));
#elif defined(__F16C__)
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i), 0));
#endif
  for (; i < count; ++i) out[i] = narrow(in[i]);
}

}  // namespace mmreg::MMREG_TARGET
