// Vec and Mask for AVX-512 (F, DQ, BW, VL): 512 bits: the types, how they are loaded and stored, and transposed.
#pragma once
#include "vec.h"

namespace rusttorch::RUSTTORCH_ISA {

template <>
struct Mask<float> {  // one bit per lane
  __mmask16 raw;
  explicit RUSTTORCH_INLINE Mask(__mmask16 value) : raw(value) {}
};
template <>
struct Mask<double> {  // one bit per lane
  __mmask8 raw;
  explicit RUSTTORCH_INLINE Mask(__mmask8 value) : raw(value) {}
};
template <>
struct Mask<int32_t> {  // one bit per lane
  __mmask16 raw;
  explicit RUSTTORCH_INLINE Mask(__mmask16 value) : raw(value) {}
};
template <>
struct Mask<int64_t> {  // one bit per lane
  __mmask8 raw;
  explicit RUSTTORCH_INLINE Mask(__mmask8 value) : raw(value) {}
};

RUSTTORCH_INLINE __mmask16 first_lanes_32(int64_t n) { return __mmask16((uint32_t(1) << n) - 1); }
RUSTTORCH_INLINE __mmask8 first_lanes_64(int64_t n) { return __mmask8((uint32_t(1) << n) - 1); }

RUSTTORCH_INLINE __m512 widen_bfloat16(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
RUSTTORCH_INLINE __m512i round_bfloat16(__m512 value) {  // the result in the high half of each 32-bit lane
  const __m512i word = _mm512_castps_si512(value);
  const __m512i kept_odd = _mm512_and_si512(_mm512_srli_epi32(word, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(word, _mm512_set1_epi32(0x7fff)), kept_odd);
  const __mmask16 unordered = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_mask_blend_epi32(unordered, rounded, _mm512_set1_epi32(0x7fc00000));
}
RUSTTORCH_INLINE __m256i narrow_bfloat16(__m512 value) {
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_bfloat16(value), 16));
}

template <>
struct Vec<float> {
  static constexpr int lanes = 16;
  __m512 raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(__m512 value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(float value) : raw(_mm512_set1_ps(value)) {}
  static RUSTTORCH_INLINE Vec load(const float* p) { return Vec(_mm512_loadu_ps(p)); }
  static RUSTTORCH_INLINE Vec load(const float* p, int64_t n) {
    return Vec(_mm512_maskz_loadu_ps(first_lanes_32(n), p));
  }
  static RUSTTORCH_INLINE Vec load(const bfloat16* p) {
    return Vec(widen_bfloat16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
  }
  static RUSTTORCH_INLINE Vec load(const bfloat16* p, int64_t n) {
    return Vec(widen_bfloat16(_mm256_maskz_loadu_epi16(first_lanes_32(n), p)));
  }
  // The even elements of memory go to `first`, the odd ones to `second`: a shift and a mask instead of shuffles.
  static RUSTTORCH_INLINE void load_pair(const bfloat16* p, Vec& first, Vec& second) {
    const __m512i both = _mm512_loadu_si512(p);
    first = Vec(_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)));
    second = Vec(_mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32(int32_t(0xffff0000)))));
  }
  static RUSTTORCH_INLINE void store_pair(bfloat16* p, Vec first, Vec second) {
    const __m512i low = _mm512_srli_epi32(round_bfloat16(first.raw), 16), high = round_bfloat16(second.raw);
    _mm512_storeu_si512(p, _mm512_mask_blend_epi16(0xaaaaaaaa, low, high));
  }
  static RUSTTORCH_INLINE Vec load(const float16* p) {
    return Vec(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
  }
  static RUSTTORCH_INLINE Vec load(const float16* p, int64_t n) {
    return Vec(_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes_32(n), p)));
  }
  RUSTTORCH_INLINE void store(float* p) const { _mm512_storeu_ps(p, raw); }
  RUSTTORCH_INLINE void store(float* p, int64_t n) const { _mm512_mask_storeu_ps(p, first_lanes_32(n), raw); }
  RUSTTORCH_INLINE void store(bfloat16* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow_bfloat16(raw));
  }
  RUSTTORCH_INLINE void store(bfloat16* p, int64_t n) const {
    _mm256_mask_storeu_epi16(p, first_lanes_32(n), narrow_bfloat16(raw));
  }
  RUSTTORCH_INLINE void store(float16* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(raw, _MM_FROUND_TO_NEAREST_INT));
  }
  RUSTTORCH_INLINE void store(float16* p, int64_t n) const {
    _mm256_mask_storeu_epi16(p, first_lanes_32(n), _mm512_cvtps_ph(raw, _MM_FROUND_TO_NEAREST_INT));
  }
};

template <>
struct Vec<double> {
  static constexpr int lanes = 8;
  __m512d raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(__m512d value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(double value) : raw(_mm512_set1_pd(value)) {}
  static RUSTTORCH_INLINE Vec load(const double* p) { return Vec(_mm512_loadu_pd(p)); }
  static RUSTTORCH_INLINE Vec load(const double* p, int64_t n) {
    return Vec(_mm512_maskz_loadu_pd(first_lanes_64(n), p));
  }
  RUSTTORCH_INLINE void store(double* p) const { _mm512_storeu_pd(p, raw); }
  RUSTTORCH_INLINE void store(double* p, int64_t n) const { _mm512_mask_storeu_pd(p, first_lanes_64(n), raw); }
};

template <>
struct Vec<int32_t> {
  static constexpr int lanes = 16;
  __m512i raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(__m512i value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(int32_t value) : raw(_mm512_set1_epi32(value)) {}
  static RUSTTORCH_INLINE Vec load(const int32_t* p) { return Vec(_mm512_loadu_si512(p)); }
  static RUSTTORCH_INLINE Vec load(const int32_t* p, int64_t n) {
    return Vec(_mm512_maskz_loadu_epi32(first_lanes_32(n), p));
  }
  RUSTTORCH_INLINE void store(int32_t* p) const { _mm512_storeu_si512(p, raw); }
  RUSTTORCH_INLINE void store(int32_t* p, int64_t n) const { _mm512_mask_storeu_epi32(p, first_lanes_32(n), raw); }
};

template <>
struct Vec<int64_t> {
  static constexpr int lanes = 8;
  __m512i raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(__m512i value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(int64_t value) : raw(_mm512_set1_epi64(value)) {}
  static RUSTTORCH_INLINE Vec load(const int64_t* p) { return Vec(_mm512_loadu_si512(p)); }
  static RUSTTORCH_INLINE Vec load(const int64_t* p, int64_t n) {
    return Vec(_mm512_maskz_loadu_epi64(first_lanes_64(n), p));
  }
  RUSTTORCH_INLINE void store(int64_t* p) const { _mm512_storeu_si512(p, raw); }
  RUSTTORCH_INLINE void store(int64_t* p, int64_t n) const { _mm512_mask_storeu_epi64(p, first_lanes_64(n), raw); }
};

// Pairs, pairs of pairs, then quarters of 128 bits: 64 shuffles (doubles: 24).
RUSTTORCH_INLINE void transpose(Vec<float> (&rows)[16]) {
  __m512 a[16], b[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_ps(rows[i].raw, rows[i + 1].raw);
    a[i + 1] = _mm512_unpackhi_ps(rows[i].raw, rows[i + 1].raw);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 4) {  // b[i + j]: elements j, 4 + j, 8 + j, 12 + j of rows i to i + 3
    b[i] = _mm512_shuffle_ps(a[i], a[i + 2], 0x44);
    b[i + 1] = _mm512_shuffle_ps(a[i], a[i + 2], 0xee);
    b[i + 2] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44);
    b[i + 3] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0xee);
  }
#pragma GCC unroll 8
  for (int j = 0; j < 4; ++j) {
    const __m512 even_low = _mm512_shuffle_f32x4(b[j], b[4 + j], 0x88);  // columns j and 8 + j of rows 0 to 7
    const __m512 even_high = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(b[j], b[4 + j], 0xdd);  // columns 4 + j and 12 + j
    const __m512 odd_high = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0xdd);
    rows[j].raw = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    rows[4 + j].raw = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    rows[8 + j].raw = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
    rows[12 + j].raw = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
  }
}
RUSTTORCH_INLINE void transpose(Vec<double> (&rows)[8]) {
  __m512d a[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm512_unpacklo_pd(rows[i].raw, rows[i + 1].raw);
    a[i + 1] = _mm512_unpackhi_pd(rows[i].raw, rows[i + 1].raw);
  }
#pragma GCC unroll 8
  for (int j = 0; j < 2; ++j) {
    const __m512d even_low = _mm512_shuffle_f64x2(a[j], a[2 + j], 0x88);  // columns j and 4 + j of rows 0 to 3
    const __m512d even_high = _mm512_shuffle_f64x2(a[4 + j], a[6 + j], 0x88);
    const __m512d odd_low = _mm512_shuffle_f64x2(a[j], a[2 + j], 0xdd);  // columns 2 + j and 6 + j
    const __m512d odd_high = _mm512_shuffle_f64x2(a[4 + j], a[6 + j], 0xdd);
    rows[j].raw = _mm512_shuffle_f64x2(even_low, even_high, 0x88);
    rows[2 + j].raw = _mm512_shuffle_f64x2(odd_low, odd_high, 0x88);
    rows[4 + j].raw = _mm512_shuffle_f64x2(even_low, even_high, 0xdd);
    rows[6 + j].raw = _mm512_shuffle_f64x2(odd_low, odd_high, 0xdd);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
