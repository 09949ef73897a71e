// Vectors of the target's width: Floats and Ints of kLanes elements. Arithmetic, comparisons and `mask ? a : b` are the
// compiler's vector operators; this header adds what they lack. A comparison gives Ints of 0 and -1. All names are in
// the target's namespace, so that the linker cannot mix targets.
#pragma once
#include <cstring>
#if defined(__SSE2__) && defined(__clang__)
#include <immintrin.h>
#elif defined(__SSE2__)
#pragma GCC diagnostic push  // GCC 12 warns about its own headers
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#include "core/types.h"

namespace mmreg::MMREG_TARGET {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;  // SSE2, NEON
#endif

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef std::uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef std::uint16_t Shorts __attribute__((vector_size(2 * kLanes)));
typedef float FloatsAnywhere __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef std::int32_t IntsAnywhere __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef std::uint16_t ShortsAnywhere __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));

MMREG_INLINE Floats splat(float x) { return Floats{} + x; }
MMREG_INLINE Ints splat(int x) { return Ints{} + x; }
MMREG_INLINE Floats to_floats(Ints v) { return __builtin_convertvector(v, Floats); }
MMREG_INLINE Ints truncate(Floats v) { return __builtin_convertvector(v, Ints); }  // |v| < 2^31
MMREG_INLINE Ints bits(Floats v) { return reinterpret_cast<Ints>(v); }
MMREG_INLINE Floats from_bits(Ints v) { return reinterpret_cast<Floats>(v); }
MMREG_INLINE Floats abs(Floats v) { return from_bits(bits(v) & 0x7fffffff); }

MMREG_INLINE Ints lane_numbers() {
  Ints v{};
  for (int i = 0; i < kLanes; ++i) v[i] = i;
  return v;
}

// Memory. Overloads with `count` access only the first count (0..kLanes) elements; the others read as 0.
MMREG_INLINE Floats load(const float* p) { return *reinterpret_cast<const FloatsAnywhere*>(p); }
MMREG_INLINE Ints load(const std::int32_t* p) { return *reinterpret_cast<const IntsAnywhere*>(p); }
MMREG_INLINE void store(float* p, Floats v) { *reinterpret_cast<FloatsAnywhere*>(p) = v; }
MMREG_INLINE void store(std::int32_t* p, Ints v) { *reinterpret_cast<IntsAnywhere*>(p) = v; }

MMREG_INLINE Floats load(const float* p, int count) {
#if defined(__AVX512F__)
  return Floats(_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), p));
#elif defined(__AVX2__)
  return Floats(_mm256_maskload_ps(p, __m256i(lane_numbers() < splat(count))));
#else
  if (count == kLanes) return load(p);
  Floats v{};
  std::memcpy(&v, p, std::size_t(count) * 4);
  return v;
#endif
}

MMREG_INLINE void store(float* p, Floats v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, __mmask16((1u << count) - 1), __m512(v));
#elif defined(__AVX2__)
  _mm256_maskstore_ps(p, __m256i(lane_numbers() < splat(count)), __m256(v));
#else
  if (count == kLanes) return store(p, v);
  std::memcpy(p, &v, std::size_t(count) * 4);
#endif
}

MMREG_INLINE void store(std::int32_t* p, Ints v, int count) { store(reinterpret_cast<float*>(p), Floats(v), count); }

MMREG_INLINE Floats gather(const float* base, Ints index) {
#if defined(__AVX512F__)
  return Floats(_mm512_i32gather_ps(__m512i(index), base, 4));
#elif defined(__AVX2__)
  return Floats(_mm256_i32gather_ps(base, __m256i(index), 4));
#else
  Floats v{};
  for (int i = 0; i < kLanes; ++i) v[i] = base[index[i]];
  return v;
#endif
}

struct NextTo {
  Floats low, high;
};

// base[index] and base[index + 1].
MMREG_INLINE NextTo gather_pairs(const float* base, Ints index) {
#if defined(__AVX512F__)
  const __m512i i = __m512i(index);
  const __m512i a = _mm512_castpd_si512(_mm512_i32gather_pd(_mm512_castsi512_si256(i), base, 4));
  const __m512i b = _mm512_castpd_si512(_mm512_i32gather_pd(_mm512_extracti64x4_epi64(i, 1), base, 4));
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  return {Floats(_mm512_permutex2var_epi32(a, even, b)), Floats(_mm512_permutex2var_epi32(a, odd, b))};
#elif defined(__AVX2__)  // shuffles work within halves, so the gathers take lanes 0 1 4 5 and 2 3 6 7
  const __m256i i = _mm256_permute4x64_epi64(__m256i(index), 0xd8);
  const double* pairs = reinterpret_cast<const double*>(base);
  const __m256 a = _mm256_castpd_ps(_mm256_i32gather_pd(pairs, _mm256_castsi256_si128(i), 4));
  const __m256 b = _mm256_castpd_ps(_mm256_i32gather_pd(pairs, _mm256_extracti128_si256(i, 1), 4));
  return {Floats(_mm256_shuffle_ps(a, b, 0x88)), Floats(_mm256_shuffle_ps(a, b, 0xdd))};
#else
  return {gather(base, index), gather(base, index + 1)};
#endif
}

// Minimum and maximum; the result is `b` if an argument is NaN.
MMREG_INLINE Floats min(Floats a, Floats b) {
#if defined(__AVX512F__)
  return Floats(_mm512_min_ps(__m512(a), __m512(b)));
#elif defined(__AVX2__)
  return Floats(_mm256_min_ps(__m256(a), __m256(b)));
#elif defined(__SSE2__)
  return Floats(_mm_min_ps(__m128(a), __m128(b)));
#else
  return a < b ? a : b;
#endif
}

MMREG_INLINE Floats max(Floats a, Floats b) {
#if defined(__AVX512F__)
  return Floats(_mm512_max_ps(__m512(a), __m512(b)));
#elif defined(__AVX2__)
  return Floats(_mm256_max_ps(__m256(a), __m256(b)));
#elif defined(__SSE2__)
  return Floats(_mm_max_ps(__m128(a), __m128(b)));
#else
  return a > b ? a : b;
#endif
}

MMREG_INLINE Ints min(Ints a, Ints b) { return a < b ? a : b; }
MMREG_INLINE Ints max(Ints a, Ints b) { return a > b ? a : b; }

MMREG_INLINE Floats floor(Floats v) {  // |v| < 2^31
#if defined(__AVX512F__)
  return Floats(_mm512_roundscale_ps(__m512(v), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
#elif defined(__AVX2__)
  return Floats(_mm256_floor_ps(__m256(v)));
#else
  const Floats t = to_floats(truncate(v));
  return t > v ? t - 1.0f : t;
#endif
}

MMREG_INLINE Floats sqrt(Floats v) {
#if defined(__AVX512F__)
  return Floats(_mm512_sqrt_ps(__m512(v)));
#elif defined(__AVX2__)
  return Floats(_mm256_sqrt_ps(__m256(v)));
#else
  for (int i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

// Whether the target has a permute instruction. Without one, loading each value separately is faster.
constexpr bool kHasPermute = kLanes > 4;

// Returns element index[i] of `table`, 0 <= index < kLanes, or of the 2 * kLanes elements of `low` and `high`.
MMREG_INLINE Floats permute(Floats table, Ints index) {
#if defined(__AVX512F__)
  return Floats(_mm512_permutexvar_ps(__m512i(index), __m512(table)));
#elif defined(__AVX2__)
  return Floats(_mm256_permutevar8x32_ps(__m256(table), __m256i(index)));
#else
  Floats v{};
  for (int i = 0; i < kLanes; ++i) v[i] = table[index[i]];
  return v;
#endif
}

MMREG_INLINE Floats permute(Floats low, Floats high, Ints index) {
#if defined(__AVX512F__)
  return Floats(_mm512_permutex2var_ps(__m512(low), __m512i(index), __m512(high)));
#elif defined(__AVX2__)  // permutes use 3 bits of each index; bit 3, moved to the sign, selects the half
  return Floats(_mm256_blendv_ps(_mm256_permutevar8x32_ps(__m256(low), __m256i(index)),
                                 _mm256_permutevar8x32_ps(__m256(high), __m256i(index)), __m256(index << 28)));
#else
  Floats v{};
  for (int i = 0; i < kLanes; ++i) v[i] = index[i] < kLanes ? low[index[i]] : high[index[i] - kLanes];
  return v;
#endif
}

// Reductions of a vector; sums and extrema use a fixed order of the lanes.
MMREG_INLINE bool any(Ints mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask(__m512i(mask)) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(__m256(mask)) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_ps(__m128(mask)) != 0;
#else
  std::int32_t all = 0;
  for (int i = 0; i < kLanes; ++i) all |= mask[i];
  return all != 0;
#endif
}

MMREG_INLINE bool any_below(Ints a, Ints b) {
#if defined(__AVX512F__)
  return _mm512_cmplt_epi32_mask(__m512i(a), __m512i(b)) != 0;
#else
  return any(a < b);
#endif
}

MMREG_INLINE bool any_above(Ints v, int limit) {  // or negative
#if defined(__AVX512F__)
  return _mm512_cmpgt_epu32_mask(__m512i(v), _mm512_set1_epi32(limit)) != 0;
#else
  return any((v > splat(limit)) | (v < splat(0)));
#endif
}

MMREG_INLINE bool differ(Floats a, Floats b) {  // whether any lane differs; NaN differs from everything
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(__m512(a), __m512(b), _CMP_NEQ_UQ) != 0;
#else
  return any(a != b);
#endif
}

MMREG_INLINE int count(Ints mask) {  // number of set lanes
#if defined(__AVX512F__)
  return __builtin_popcount(unsigned(_mm512_movepi32_mask(__m512i(mask))));
#elif defined(__AVX2__)
  return __builtin_popcount(unsigned(_mm256_movemask_ps(__m256(mask))));
#elif defined(__SSE2__)
  return __builtin_popcount(unsigned(_mm_movemask_ps(__m128(mask))));
#else
  int n = 0;
  for (int i = 0; i < kLanes; ++i) n -= mask[i];
  return n;
#endif
}

MMREG_INLINE float sum(Floats v) {
  float total = v[0];
  for (int i = 1; i < kLanes; ++i) total += v[i];
  return total;
}

MMREG_INLINE float smallest(Floats v) {
  float least = v[0];
  for (int i = 1; i < kLanes; ++i) least = v[i] < least ? v[i] : least;
  return least;
}

MMREG_INLINE float largest(Floats v) {
  float most = v[0];
  for (int i = 1; i < kLanes; ++i) most = v[i] > most ? v[i] : most;
  return most;
}

MMREG_INLINE int smallest(Ints v) {
#if defined(__AVX512F__)
  return _mm512_reduce_min_epi32(__m512i(v));
#else
  int least = v[0];
  for (int i = 1; i < kLanes; ++i) least = v[i] < least ? v[i] : least;
  return least;
#endif
}

MMREG_INLINE int largest(Ints v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_epi32(__m512i(v));
#else
  int most = v[0];
  for (int i = 1; i < kLanes; ++i) most = v[i] > most ? v[i] : most;
  return most;
#endif
}

// IEEE binary16, in hardware or in exact integer arithmetic; both round to nearest even.
MMREG_INLINE Floats widen(Shorts half) {
#if defined(__AVX512F__)
  return Floats(_mm512_cvtph_ps(__m256i(half)));
#elif defined(__F16C__)
  return Floats(_mm256_cvtph_ps(__m128i(half)));
#else
  const Words h = __builtin_convertvector(half, Words);
  const Words magnitude = (h & 0x7fff) << 13;  // exponent and mantissa in place; a factor of 2^112 corrects the bias
  const Ints special = magnitude >= (0x7c00u << 13);
  const Words value = reinterpret_cast<Words>(reinterpret_cast<Floats>(magnitude) * 0x1p112f);
  return reinterpret_cast<Floats>((special ? magnitude | 0x7f800000u : value) | (h & 0x8000) << 16);
#endif
}

MMREG_INLINE Floats load(const Half* p) { return widen(Shorts(*reinterpret_cast<const ShortsAnywhere*>(p))); }

MMREG_INLINE Floats gather(const Half* base, Ints index) {
  Shorts v{};
  for (int i = 0; i < kLanes; ++i) v[i] = base[index[i]].bits;
  return widen(v);
}

MMREG_INLINE NextTo gather_pairs(const Half* base, Ints index) {
#if defined(__AVX512F__)
  const Words pairs = Words(_mm512_i32gather_epi32(__m512i(index), base, 2));
#elif defined(__AVX2__)
  const Words pairs = Words(_mm256_i32gather_epi32(reinterpret_cast<const int*>(base), __m256i(index), 2));
#else
  Words pairs{};
  for (int i = 0; i < kLanes; ++i) pairs[i] = base[index[i]].bits | std::uint32_t(base[index[i] + 1].bits) << 16;
#endif
  return {widen(__builtin_convertvector(pairs & 0xffffu, Shorts)), widen(__builtin_convertvector(pairs >> 16, Shorts))};
}

MMREG_INLINE void store(Half* p, Floats v) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(__m512(v), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(__m256(v), _MM_FROUND_TO_NEAREST_INT));
#else
  const Words word = reinterpret_cast<Words>(v), magnitude = word & 0x7fffffff;
  const Words odd = magnitude >> 13 & 1;
  const Words normal = (magnitude - (112u << 23) + 0xfff + odd) >> 13;
  const Words subnormal = reinterpret_cast<Words>(reinterpret_cast<Floats>(magnitude) + 0.5f) - (126u << 23);
  const Ints tiny = magnitude<(113u << 23), huge = magnitude >= (143u << 23), nan = magnitude>(255u << 23);
  Words half = tiny ? subnormal : normal;
  half = huge ? (nan ? Words{} + 0x7e00u : Words{} + 0x7c00u) : half;
  half |= word >> 16 & 0x8000;
  *reinterpret_cast<ShortsAnywhere*>(p) = __builtin_convertvector(half, Shorts);
#endif
}

}  // namespace mmreg::MMREG_TARGET
