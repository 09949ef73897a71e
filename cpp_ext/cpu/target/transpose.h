// Transposes vectors of neighbouring voxels to rows: twelve planar channels to 16 Half features, the last four zero;
// and costs, one vector per displacement, to one row of displacements per cell.
#pragma once
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

#if defined(__AVX2__)
// Transposes eight rows of halves: row k of the result holds element k of each of a[0 .. 7].
MMREG_INLINE void transpose8(__m128i a[8]) {
  __m128i b[8], c[8];
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = _mm_unpacklo_epi16(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm_unpackhi_epi16(a[2 * i], a[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i)
    for (int k = 0; k < 2; ++k) {
      c[4 * i + 2 * k] = _mm_unpacklo_epi32(b[4 * i + k], b[4 * i + 2 + k]);
      c[4 * i + 2 * k + 1] = _mm_unpackhi_epi32(b[4 * i + k], b[4 * i + 2 + k]);
    }
  for (int k = 0; k < 4; ++k) {
    a[2 * k] = _mm_unpacklo_epi64(c[k], c[4 + k]);
    a[2 * k + 1] = _mm_unpackhi_epi64(c[k], c[4 + k]);
  }
}
#endif

#if defined(__AVX512F__)
// Transposes in each of the four 128-bit lanes.
MMREG_INLINE void transpose8(__m512i a[8]) {
  __m512i b[8], c[8];
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = _mm512_unpacklo_epi16(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm512_unpackhi_epi16(a[2 * i], a[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i)
    for (int k = 0; k < 2; ++k) {
      c[4 * i + 2 * k] = _mm512_unpacklo_epi32(b[4 * i + k], b[4 * i + 2 + k]);
      c[4 * i + 2 * k + 1] = _mm512_unpackhi_epi32(b[4 * i + k], b[4 * i + 2 + k]);
    }
  for (int k = 0; k < 4; ++k) {
    a[2 * k] = _mm512_unpacklo_epi64(c[k], c[4 + k]);
    a[2 * k + 1] = _mm512_unpackhi_epi64(c[k], c[4 + k]);
  }
}

// The 128-bit lanes of a[k] are channels 0..7 of voxels k and k + 8, then channels 8..15 of voxels k and k + 8.
MMREG_INLINE void store_vectors(Half* out, const Floats channel[12]) {
  __m256i half[12];
  for (int c = 0; c < 12; ++c) half[c] = _mm512_cvtps_ph(__m512(channel[c]), _MM_FROUND_TO_NEAREST_INT);
  __m512i a[8];
  for (int c = 0; c < 4; ++c) {
    a[c] = _mm512_inserti64x4(_mm512_castsi256_si512(half[c]), half[c + 8], 1);
    a[c + 4] = _mm512_zextsi256_si512(half[c + 4]);
  }
  transpose8(a);
  for (int k = 0; k < 8; k += 2) {
    _mm512_storeu_si512(out + 16 * k, _mm512_shuffle_i64x2(a[k], a[k + 1], 0x88));
    _mm512_storeu_si512(out + 16 * (k + 8), _mm512_shuffle_i64x2(a[k], a[k + 1], 0xdd));
  }
}
#elif defined(__AVX2__)
MMREG_INLINE void store_vectors(Half* out, const Floats channel[12]) {
  __m128i low[8], high[8];
  for (int c = 0; c < 8; ++c) low[c] = _mm256_cvtps_ph(__m256(channel[c]), _MM_FROUND_TO_NEAREST_INT);
  for (int c = 0; c < 4; ++c) {
    high[c] = _mm256_cvtps_ph(__m256(channel[c + 8]), _MM_FROUND_TO_NEAREST_INT);
    high[c + 4] = _mm_setzero_si128();
  }
  transpose8(low);
  transpose8(high);
  for (int k = 0; k < 8; ++k) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * k), low[k]);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * k + 8), high[k]);
  }
}
#else
MMREG_INLINE void store_vectors(Half* out, const Floats channel[12]) {
  Half half[12][kLanes];
  for (int c = 0; c < 12; ++c) store(half[c], channel[c]);
  for (int k = 0; k < kLanes; ++k)
    for (int c = 0; c < 16; ++c) out[16 * k + c] = c < 12 ? half[c][k] : Half{0};
}
#endif

// Only the first `count` of kLanes voxels.
MMREG_INLINE void store_channels(Half* out, const Floats channel[12], int count) {
  if (count == kLanes) return store_vectors(out, channel);
  Half all[16 * kLanes];
  store_vectors(all, channel);
  std::memcpy(out, all, std::size_t(count) * 16 * sizeof(Half));
}

// out[cell * pitch + k] = in[k][cell] * scale, for kLanes cells and kLanes displacements k.
template <class Cost>
MMREG_INLINE void store_square(const float* in, float scale, Cost* out, std::int64_t pitch) {
  Cost all[kLanes][kLanes];
  for (int k = 0; k < kLanes; ++k) store(all[k], load(in + k * kLanes) * scale);
  for (int cell = 0; cell < kLanes; ++cell)
    for (int k = 0; k < kLanes; ++k) out[cell * pitch + k] = all[k][cell];
}

#if defined(__AVX512F__)
MMREG_INLINE void store_square(const float* in, float scale, Half* out, std::int64_t pitch) {
  __m512i a[8];
  for (int k = 0; k < 8; ++k) {
    const __m256i low = _mm512_cvtps_ph(__m512(load(in + k * kLanes) * scale), _MM_FROUND_TO_NEAREST_INT);
    const __m256i high = _mm512_cvtps_ph(__m512(load(in + (k + 8) * kLanes) * scale), _MM_FROUND_TO_NEAREST_INT);
    a[k] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  transpose8(a);
  for (int cell = 0; cell < 8; ++cell) {
    const __m512i rows = _mm512_shuffle_i64x2(a[cell], a[cell], 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + cell * pitch), _mm512_castsi512_si256(rows));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + (cell + 8) * pitch), _mm512_extracti64x4_epi64(rows, 1));
  }
}
#elif defined(__AVX2__)
MMREG_INLINE void store_square(const float* in, float scale, Half* out, std::int64_t pitch) {
  __m128i a[8];
  for (int k = 0; k < 8; ++k) a[k] = _mm256_cvtps_ph(__m256(load(in + k * kLanes) * scale), _MM_FROUND_TO_NEAREST_INT);
  transpose8(a);
  for (int cell = 0; cell < 8; ++cell) _mm_storeu_si128(reinterpret_cast<__m128i*>(out + cell * pitch), a[cell]);
}
#endif

// Only the first `cells` cells and the first `count` displacements.
template <class Cost>
inline void store_transposed(const float* in, float scale, Cost* out, std::int64_t pitch, int cells, int count) {
  if (cells == kLanes && count == kLanes) return store_square(in, scale, out, pitch);
  Cost all[kLanes * kLanes];
  store_square(in, scale, all, kLanes);
  for (int cell = 0; cell < cells; ++cell)
    std::memcpy(out + cell * pitch, all + cell * kLanes, std::size_t(count) * sizeof(Cost));
}

}  // namespace mmreg::MMREG_TARGET
