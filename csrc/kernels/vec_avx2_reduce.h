// Reductions across the lanes of a Vec, for AVX2. Included by vec_avx2.h.
#pragma once
#include "vec_avx2_types.h"

namespace rusttorch::RUSTTORCH_ISA {

// Lane i + lane i + 4 (doubles: + 2), then i + 2, then i + 1. One pattern of swaps for every operation.
RUSTTORCH_INLINE Vec<float> swap_halves(Vec<float> v) { return Vec<float>(_mm256_permute2f128_ps(v.raw, v.raw, 1)); }
RUSTTORCH_INLINE Vec<float> swap_pairs(Vec<float> v) { return Vec<float>(_mm256_permute_ps(v.raw, 0x4e)); }
RUSTTORCH_INLINE Vec<float> swap_singles(Vec<float> v) { return Vec<float>(_mm256_permute_ps(v.raw, 0xb1)); }
template <int n>
RUSTTORCH_INLINE Vec<float> add_halves(Vec<float> v) {
  if constexpr (n == 8) return v + swap_halves(v);
  if constexpr (n == 4) return v + swap_pairs(v);
  if constexpr (n == 2) return v + swap_singles(v);
}
RUSTTORCH_INLINE Vec<double> swap_halves(Vec<double> v) { return Vec<double>(_mm256_permute2f128_pd(v.raw, v.raw, 1)); }
RUSTTORCH_INLINE Vec<double> swap_singles(Vec<double> v) { return Vec<double>(_mm256_permute_pd(v.raw, 5)); }
RUSTTORCH_INLINE float reduce_add(Vec<float> v) {
  v = v + swap_halves(v);
  v = v + swap_pairs(v);
  return _mm256_cvtss_f32((v + swap_singles(v)).raw);
}
RUSTTORCH_INLINE double reduce_add(Vec<double> v) {
  v = v + swap_halves(v);
  return _mm256_cvtsd_f64((v + swap_singles(v)).raw);
}
RUSTTORCH_INLINE float reduce_max(Vec<float> v) {
  v = maximum(v, swap_halves(v));
  v = maximum(v, swap_pairs(v));
  return _mm256_cvtss_f32(maximum(v, swap_singles(v)).raw);
}
RUSTTORCH_INLINE double reduce_max(Vec<double> v) {
  v = maximum(v, swap_halves(v));
  return _mm256_cvtsd_f64(maximum(v, swap_singles(v)).raw);
}
RUSTTORCH_INLINE float reduce_max_number(Vec<float> v) {
  v = max_number(v, swap_halves(v));
  v = max_number(v, swap_pairs(v));
  return _mm256_cvtss_f32(max_number(v, swap_singles(v)).raw);
}
RUSTTORCH_INLINE double reduce_max_number(Vec<double> v) {
  v = max_number(v, swap_halves(v));
  return _mm256_cvtsd_f64(max_number(v, swap_singles(v)).raw);
}
// Integers: exact whatever the order, and rare.
RUSTTORCH_INLINE int32_t reduce_add(Vec<int32_t> v) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v.raw), _mm256_extracti128_si256(v.raw, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
RUSTTORCH_INLINE int64_t reduce_add(Vec<int64_t> v) {
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(v.raw), _mm256_extracti128_si256(v.raw, 1));
  return _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_shuffle_epi32(two, 0x4e)));
}
RUSTTORCH_INLINE int32_t reduce_max(Vec<int32_t> v) {
  const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(v.raw), _mm256_extracti128_si256(v.raw, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
RUSTTORCH_INLINE int64_t reduce_max(Vec<int64_t> v) {
  v = maximum(v, Vec<int64_t>(_mm256_permute4x64_epi64(v.raw, 0x4e)));
  v = maximum(v, Vec<int64_t>(_mm256_permute4x64_epi64(v.raw, 0xb1)));
  return _mm_cvtsi128_si64(_mm256_castsi256_si128(v.raw));
}

}  // namespace rusttorch::RUSTTORCH_ISA
