// Vec and Mask for AVX2 + FMA + F16C: 256 bits: the types, how they are loaded and stored, and transposed.
#pragma once
#include "vec.h"

namespace rusttorch::RUSTTORCH_ISA {

template <>
struct Mask<float> {  // all bits of a lane set, or none
  __m256 raw;
  explicit RUSTTORCH_INLINE Mask(__m256 value) : raw(value) {}
};
template <>
struct Mask<double> {  // all bits of a lane set, or none
  __m256d raw;
  explicit RUSTTORCH_INLINE Mask(__m256d value) : raw(value) {}
};
template <>
struct Mask<int32_t> {  // all bits of a lane set, or none
  __m256i raw;
  explicit RUSTTORCH_INLINE Mask(__m256i value) : raw(value) {}
};
template <>
struct Mask<int64_t> {  // all bits of a lane set, or none
  __m256i raw;
  explicit RUSTTORCH_INLINE Mask(__m256i value) : raw(value) {}
};

RUSTTORCH_INLINE __m256i first_lanes_32(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(int32_t(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
RUSTTORCH_INLINE __m256i first_lanes_64(int64_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}

// There is no masked move of 16-bit elements: partial vectors go through a copy in memory.
template <class Half>
RUSTTORCH_INLINE __m128i load_halves(const Half* p, int64_t n) {
  alignas(16) Half copy[8] = {};
  for (int64_t i = 0; i < n; ++i) copy[i] = p[i];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(copy));
}
template <class Half>
RUSTTORCH_INLINE void store_halves(Half* p, __m128i halves, int64_t n) {
  alignas(16) Half copy[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(copy), halves);
  for (int64_t i = 0; i < n; ++i) p[i] = copy[i];
}
RUSTTORCH_INLINE __m256 widen_bfloat16(__m128i halves) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
RUSTTORCH_INLINE __m256i round_bfloat16(__m256 value) {  // the result in the high half of each 32-bit lane
  const __m256i word = _mm256_castps_si256(value);
  const __m256i kept_odd = _mm256_and_si256(_mm256_srli_epi32(word, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(word, _mm256_set1_epi32(0x7fff)), kept_odd);
  const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
  const __m256 unordered = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
  return _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(rounded), nan, unordered));
}
RUSTTORCH_INLINE __m128i narrow_bfloat16(__m256 value) {
  const __m256i words = _mm256_srli_epi32(round_bfloat16(value), 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

template <>
struct Vec<float> {
  static constexpr int lanes = 8;
  __m256 raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(__m256 value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(float value) : raw(_mm256_set1_ps(value)) {}
  static RUSTTORCH_INLINE Vec load(const float* p) { return Vec(_mm256_loadu_ps(p)); }
  static RUSTTORCH_INLINE Vec load(const float* p, int64_t n) { return Vec(_mm256_maskload_ps(p, first_lanes_32(n))); }
  static RUSTTORCH_INLINE Vec load(const bfloat16* p) {
    return Vec(widen_bfloat16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static RUSTTORCH_INLINE Vec load(const bfloat16* p, int64_t n) { return Vec(widen_bfloat16(load_halves(p, n))); }
  // The even elements of memory go to `first`, the odd ones to `second`: a shift and a mask instead of shuffles.
  static RUSTTORCH_INLINE void load_pair(const bfloat16* p, Vec& first, Vec& second) {
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    first = Vec(_mm256_castsi256_ps(_mm256_slli_epi32(both, 16)));
    second = Vec(_mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(int32_t(0xffff0000)))));
  }
  static RUSTTORCH_INLINE void store_pair(bfloat16* p, Vec first, Vec second) {
    const __m256i low = _mm256_srli_epi32(round_bfloat16(first.raw), 16), high = round_bfloat16(second.raw);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_blend_epi16(low, high, 0xaa));
  }
  static RUSTTORCH_INLINE Vec load(const float16* p) {
    return Vec(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static RUSTTORCH_INLINE Vec load(const float16* p, int64_t n) { return Vec(_mm256_cvtph_ps(load_halves(p, n))); }
  RUSTTORCH_INLINE void store(float* p) const { _mm256_storeu_ps(p, raw); }
  RUSTTORCH_INLINE void store(float* p, int64_t n) const { _mm256_maskstore_ps(p, first_lanes_32(n), raw); }
  RUSTTORCH_INLINE void store(bfloat16* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow_bfloat16(raw));
  }
  RUSTTORCH_INLINE void store(bfloat16* p, int64_t n) const { store_halves(p, narrow_bfloat16(raw), n); }
  RUSTTORCH_INLINE void store(float16* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(raw, _MM_FROUND_TO_NEAREST_INT));
  }
  RUSTTORCH_INLINE void store(float16* p, int64_t n) const {
    store_halves(p, _mm256_cvtps_ph(raw, _MM_FROUND_TO_NEAREST_INT), n);
  }
};

template <>
struct Vec<double> {
  static constexpr int lanes = 4;
  __m256d raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(__m256d value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(double value) : raw(_mm256_set1_pd(value)) {}
  static RUSTTORCH_INLINE Vec load(const double* p) { return Vec(_mm256_loadu_pd(p)); }
  static RUSTTORCH_INLINE Vec load(const double* p, int64_t n) { return Vec(_mm256_maskload_pd(p, first_lanes_64(n))); }
  RUSTTORCH_INLINE void store(double* p) const { _mm256_storeu_pd(p, raw); }
  RUSTTORCH_INLINE void store(double* p, int64_t n) const { _mm256_maskstore_pd(p, first_lanes_64(n), raw); }
};

template <>
struct Vec<int32_t> {
  static constexpr int lanes = 8;
  __m256i raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(__m256i value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(int32_t value) : raw(_mm256_set1_epi32(value)) {}
  static RUSTTORCH_INLINE Vec load(const int32_t* p) {
    return Vec(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static RUSTTORCH_INLINE Vec load(const int32_t* p, int64_t n) {
    return Vec(_mm256_maskload_epi32(p, first_lanes_32(n)));
  }
  RUSTTORCH_INLINE void store(int32_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), raw); }
  RUSTTORCH_INLINE void store(int32_t* p, int64_t n) const { _mm256_maskstore_epi32(p, first_lanes_32(n), raw); }
};

template <>
struct Vec<int64_t> {
  static constexpr int lanes = 4;
  __m256i raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(__m256i value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(int64_t value) : raw(_mm256_set1_epi64x(value)) {}
  static RUSTTORCH_INLINE Vec load(const int64_t* p) {
    return Vec(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static RUSTTORCH_INLINE Vec load(const int64_t* p, int64_t n) {
    return Vec(_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), first_lanes_64(n)));
  }
  RUSTTORCH_INLINE void store(int64_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), raw); }
  RUSTTORCH_INLINE void store(int64_t* p, int64_t n) const {
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), first_lanes_64(n), raw);
  }
};

RUSTTORCH_INLINE void transpose(Vec<float> (&rows)[8]) {
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_ps(rows[i].raw, rows[i + 1].raw);
    a[i + 1] = _mm256_unpackhi_ps(rows[i].raw, rows[i + 1].raw);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 4) {  // b[i + j]: elements j and 4 + j of rows i to i + 3
    b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
    b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
    b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
    b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
  }
#pragma GCC unroll 8
  for (int j = 0; j < 4; ++j) {
    rows[j].raw = _mm256_permute2f128_ps(b[j], b[4 + j], 0x20);
    rows[4 + j].raw = _mm256_permute2f128_ps(b[j], b[4 + j], 0x31);
  }
}
RUSTTORCH_INLINE void transpose(Vec<double> (&rows)[4]) {
  const __m256d a = _mm256_unpacklo_pd(rows[0].raw, rows[1].raw), b = _mm256_unpackhi_pd(rows[0].raw, rows[1].raw);
  const __m256d c = _mm256_unpacklo_pd(rows[2].raw, rows[3].raw), d = _mm256_unpackhi_pd(rows[2].raw, rows[3].raw);
  rows[0].raw = _mm256_permute2f128_pd(a, c, 0x20);
  rows[1].raw = _mm256_permute2f128_pd(b, d, 0x20);
  rows[2].raw = _mm256_permute2f128_pd(a, c, 0x31);
  rows[3].raw = _mm256_permute2f128_pd(b, d, 0x31);
}

}  // namespace rusttorch::RUSTTORCH_ISA
