// Vec and Mask for AVX2 + FMA + F16C: 256 bits. The contract is in vec.h.
#pragma once
#include "vec_avx2_types.h"

namespace rusttorch::RUSTTORCH_ISA {

RUSTTORCH_INLINE Vec<float> operator+(Vec<float> a, Vec<float> b) { return Vec<float>(_mm256_add_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<float> operator-(Vec<float> a, Vec<float> b) { return Vec<float>(_mm256_sub_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator+(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm256_add_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> operator-(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm256_sub_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator+(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_add_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator-(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_sub_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator+(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm256_add_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator-(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm256_sub_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> operator*(Vec<float> a, Vec<float> b) { return Vec<float>(_mm256_mul_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator*(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm256_mul_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator*(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_mullo_epi32(a.raw, b.raw));
}
// 64-bit product from 32-bit pieces: low*low + ((low*high + high*low) << 32), modulo 2^64.
RUSTTORCH_INLINE Vec<int64_t> operator*(Vec<int64_t> a, Vec<int64_t> b) {
  const __m256i crossed = _mm256_mullo_epi32(a.raw, _mm256_shuffle_epi32(b.raw, 0xb1));  // low*high, high*low
  const __m256i sum = _mm256_add_epi32(_mm256_slli_epi64(crossed, 32), crossed);         // their sum in the high half
  const __m256i high = _mm256_and_si256(sum, _mm256_set1_epi64x(int64_t(0xffffffff00000000)));
  return Vec<int64_t>(_mm256_add_epi64(_mm256_mul_epu32(a.raw, b.raw), high));
}
RUSTTORCH_INLINE Vec<float> operator/(Vec<float> a, Vec<float> b) { return Vec<float>(_mm256_div_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator/(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm256_div_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> operator-(Vec<float> a) { return Vec<float>(_mm256_xor_ps(a.raw, _mm256_set1_ps(-0.0f))); }
RUSTTORCH_INLINE Vec<double> operator-(Vec<double> a) {
  return Vec<double>(_mm256_xor_pd(a.raw, _mm256_set1_pd(-0.0)));
}
RUSTTORCH_INLINE Vec<int32_t> operator-(Vec<int32_t> a) {
  return Vec<int32_t>(_mm256_sub_epi32(_mm256_setzero_si256(), a.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator-(Vec<int64_t> a) {
  return Vec<int64_t>(_mm256_sub_epi64(_mm256_setzero_si256(), a.raw));
}

RUSTTORCH_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(_mm256_fmadd_ps(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(_mm256_fnmadd_ps(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<float> sqrt(Vec<float> v) { return Vec<float>(_mm256_sqrt_ps(v.raw)); }
RUSTTORCH_INLINE Vec<float> abs(Vec<float> v) { return Vec<float>(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), v.raw)); }
RUSTTORCH_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  const __m256 sign_bit = _mm256_set1_ps(-0.0f);
  return Vec<float>(_mm256_or_ps(_mm256_and_ps(sign_bit, sign.raw), _mm256_andnot_ps(sign_bit, magnitude.raw)));
}
RUSTTORCH_INLINE Vec<float> round(Vec<float> v) {
  return Vec<float>(_mm256_round_ps(v.raw, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<float> floor(Vec<float> v) {
  return Vec<float>(_mm256_round_ps(v.raw, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<float> trunc(Vec<float> v) {
  return Vec<float>(_mm256_round_ps(v.raw, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(_mm256_fmadd_pd(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(_mm256_fnmadd_pd(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<double> sqrt(Vec<double> v) { return Vec<double>(_mm256_sqrt_pd(v.raw)); }
RUSTTORCH_INLINE Vec<double> abs(Vec<double> v) { return Vec<double>(_mm256_andnot_pd(_mm256_set1_pd(-0.0), v.raw)); }
RUSTTORCH_INLINE Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  const __m256d sign_bit = _mm256_set1_pd(-0.0);
  return Vec<double>(_mm256_or_pd(_mm256_and_pd(sign_bit, sign.raw), _mm256_andnot_pd(sign_bit, magnitude.raw)));
}
RUSTTORCH_INLINE Vec<double> round(Vec<double> v) {
  return Vec<double>(_mm256_round_pd(v.raw, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<double> floor(Vec<double> v) {
  return Vec<double>(_mm256_round_pd(v.raw, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<double> trunc(Vec<double> v) {
  return Vec<double>(_mm256_round_pd(v.raw, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<int32_t> abs(Vec<int32_t> v) { return Vec<int32_t>(_mm256_abs_epi32(v.raw)); }
RUSTTORCH_INLINE Vec<int64_t> abs(Vec<int64_t> v) {
  const __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), v.raw);
  return Vec<int64_t>(_mm256_sub_epi64(_mm256_xor_si256(v.raw, negative), negative));
}

// minps and maxps return the second operand when either is NaN, so only a NaN in the first needs care.
RUSTTORCH_INLINE Vec<float> min_number(Vec<float> a, Vec<float> b) { return Vec<float>(_mm256_min_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<float> minimum(Vec<float> a, Vec<float> b) {
  const __m256 nan = _mm256_cmp_ps(a.raw, a.raw, _CMP_UNORD_Q);
  return Vec<float>(_mm256_blendv_ps(_mm256_min_ps(a.raw, b.raw), a.raw, nan));
}
RUSTTORCH_INLINE Vec<float> max_number(Vec<float> a, Vec<float> b) { return Vec<float>(_mm256_max_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) {
  const __m256 nan = _mm256_cmp_ps(a.raw, a.raw, _CMP_UNORD_Q);
  return Vec<float>(_mm256_blendv_ps(_mm256_max_ps(a.raw, b.raw), a.raw, nan));
}
RUSTTORCH_INLINE Vec<double> min_number(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm256_min_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> minimum(Vec<double> a, Vec<double> b) {
  const __m256d nan = _mm256_cmp_pd(a.raw, a.raw, _CMP_UNORD_Q);
  return Vec<double>(_mm256_blendv_pd(_mm256_min_pd(a.raw, b.raw), a.raw, nan));
}
RUSTTORCH_INLINE Vec<double> max_number(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm256_max_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> maximum(Vec<double> a, Vec<double> b) {
  const __m256d nan = _mm256_cmp_pd(a.raw, a.raw, _CMP_UNORD_Q);
  return Vec<double>(_mm256_blendv_pd(_mm256_max_pd(a.raw, b.raw), a.raw, nan));
}
RUSTTORCH_INLINE Vec<int32_t> min_number(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_min_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> minimum(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_min_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> max_number(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_max_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> maximum(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_max_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> min_number(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm256_blendv_epi8(a.raw, b.raw, _mm256_cmpgt_epi64(a.raw, b.raw)));
}
RUSTTORCH_INLINE Vec<int64_t> minimum(Vec<int64_t> a, Vec<int64_t> b) { return min_number(a, b); }
RUSTTORCH_INLINE Vec<int64_t> max_number(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm256_blendv_epi8(b.raw, a.raw, _mm256_cmpgt_epi64(a.raw, b.raw)));
}
RUSTTORCH_INLINE Vec<int64_t> maximum(Vec<int64_t> a, Vec<int64_t> b) { return max_number(a, b); }

RUSTTORCH_INLINE Mask<float> operator<(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm256_cmp_ps(a.raw, b.raw, _CMP_LT_OQ));
}
RUSTTORCH_INLINE Mask<float> operator<=(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm256_cmp_ps(a.raw, b.raw, _CMP_LE_OQ));
}
RUSTTORCH_INLINE Mask<float> operator>(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm256_cmp_ps(a.raw, b.raw, _CMP_GT_OQ));
}
RUSTTORCH_INLINE Mask<float> operator>=(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm256_cmp_ps(a.raw, b.raw, _CMP_GE_OQ));
}
RUSTTORCH_INLINE Mask<float> operator==(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm256_cmp_ps(a.raw, b.raw, _CMP_EQ_OQ));
}
RUSTTORCH_INLINE Mask<float> operator!=(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm256_cmp_ps(a.raw, b.raw, _CMP_NEQ_UQ));
}
RUSTTORCH_INLINE Mask<double> operator<(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm256_cmp_pd(a.raw, b.raw, _CMP_LT_OQ));
}
RUSTTORCH_INLINE Mask<double> operator<=(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm256_cmp_pd(a.raw, b.raw, _CMP_LE_OQ));
}
RUSTTORCH_INLINE Mask<double> operator>(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm256_cmp_pd(a.raw, b.raw, _CMP_GT_OQ));
}
RUSTTORCH_INLINE Mask<double> operator>=(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm256_cmp_pd(a.raw, b.raw, _CMP_GE_OQ));
}
RUSTTORCH_INLINE Mask<double> operator==(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm256_cmp_pd(a.raw, b.raw, _CMP_EQ_OQ));
}
RUSTTORCH_INLINE Mask<double> operator!=(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm256_cmp_pd(a.raw, b.raw, _CMP_NEQ_UQ));
}
RUSTTORCH_INLINE Mask<int32_t> operator<(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm256_cmpgt_epi32(b.raw, a.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator<=(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm256_xor_si256(_mm256_cmpgt_epi32(a.raw, b.raw), _mm256_set1_epi32(-1)));
}
RUSTTORCH_INLINE Mask<int32_t> operator>(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm256_cmpgt_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator>=(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm256_xor_si256(_mm256_cmpgt_epi32(b.raw, a.raw), _mm256_set1_epi32(-1)));
}
RUSTTORCH_INLINE Mask<int32_t> operator==(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm256_cmpeq_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator!=(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm256_xor_si256(_mm256_cmpeq_epi32(a.raw, b.raw), _mm256_set1_epi32(-1)));
}
RUSTTORCH_INLINE Mask<int64_t> operator<(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm256_cmpgt_epi64(b.raw, a.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator<=(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm256_xor_si256(_mm256_cmpgt_epi64(a.raw, b.raw), _mm256_set1_epi32(-1)));
}
RUSTTORCH_INLINE Mask<int64_t> operator>(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm256_cmpgt_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator>=(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm256_xor_si256(_mm256_cmpgt_epi64(b.raw, a.raw), _mm256_set1_epi32(-1)));
}
RUSTTORCH_INLINE Mask<int64_t> operator==(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm256_cmpeq_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator!=(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm256_xor_si256(_mm256_cmpeq_epi64(a.raw, b.raw), _mm256_set1_epi32(-1)));
}
RUSTTORCH_INLINE Mask<float> operator&(Mask<float> a, Mask<float> b) {
  return Mask<float>(_mm256_and_ps(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<float> operator|(Mask<float> a, Mask<float> b) { return Mask<float>(_mm256_or_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<float> operator^(Mask<float> a, Mask<float> b) {
  return Mask<float>(_mm256_xor_ps(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<float> operator~(Mask<float> a) {
  return Mask<float>(_mm256_xor_ps(a.raw, _mm256_castsi256_ps(_mm256_set1_epi32(-1))));
}
RUSTTORCH_INLINE Mask<double> operator&(Mask<double> a, Mask<double> b) {
  return Mask<double>(_mm256_and_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<double> operator|(Mask<double> a, Mask<double> b) {
  return Mask<double>(_mm256_or_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<double> operator^(Mask<double> a, Mask<double> b) {
  return Mask<double>(_mm256_xor_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<double> operator~(Mask<double> a) {
  return Mask<double>(_mm256_xor_pd(a.raw, _mm256_castsi256_pd(_mm256_set1_epi32(-1))));
}
RUSTTORCH_INLINE Mask<int32_t> operator&(Mask<int32_t> a, Mask<int32_t> b) {
  return Mask<int32_t>(_mm256_and_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator|(Mask<int32_t> a, Mask<int32_t> b) {
  return Mask<int32_t>(_mm256_or_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator^(Mask<int32_t> a, Mask<int32_t> b) {
  return Mask<int32_t>(_mm256_xor_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator~(Mask<int32_t> a) {
  return Mask<int32_t>(_mm256_xor_si256(a.raw, _mm256_set1_epi32(-1)));
}
RUSTTORCH_INLINE Mask<int64_t> operator&(Mask<int64_t> a, Mask<int64_t> b) {
  return Mask<int64_t>(_mm256_and_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator|(Mask<int64_t> a, Mask<int64_t> b) {
  return Mask<int64_t>(_mm256_or_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator^(Mask<int64_t> a, Mask<int64_t> b) {
  return Mask<int64_t>(_mm256_xor_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator~(Mask<int64_t> a) {
  return Mask<int64_t>(_mm256_xor_si256(a.raw, _mm256_set1_epi32(-1)));
}
RUSTTORCH_INLINE Mask<float> is_nan(Vec<float> v) { return Mask<float>(_mm256_cmp_ps(v.raw, v.raw, _CMP_UNORD_Q)); }
RUSTTORCH_INLINE Mask<double> is_nan(Vec<double> v) { return Mask<double>(_mm256_cmp_pd(v.raw, v.raw, _CMP_UNORD_Q)); }
RUSTTORCH_INLINE Mask<float> either_is_nan(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm256_cmp_ps(a.raw, b.raw, _CMP_UNORD_Q));
}
RUSTTORCH_INLINE Mask<double> either_is_nan(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm256_cmp_pd(a.raw, b.raw, _CMP_UNORD_Q));
}
RUSTTORCH_INLINE Vec<float> select(Mask<float> mask, Vec<float> yes, Vec<float> no) {
  return Vec<float>(_mm256_blendv_ps(no.raw, yes.raw, mask.raw));
}
RUSTTORCH_INLINE Vec<double> select(Mask<double> mask, Vec<double> yes, Vec<double> no) {
  return Vec<double>(_mm256_blendv_pd(no.raw, yes.raw, mask.raw));
}
RUSTTORCH_INLINE Vec<int32_t> select(Mask<int32_t> mask, Vec<int32_t> yes, Vec<int32_t> no) {
  return Vec<int32_t>(_mm256_blendv_epi8(no.raw, yes.raw, mask.raw));
}
RUSTTORCH_INLINE Vec<int64_t> select(Mask<int64_t> mask, Vec<int64_t> yes, Vec<int64_t> no) {
  return Vec<int64_t>(_mm256_blendv_epi8(no.raw, yes.raw, mask.raw));
}
RUSTTORCH_INLINE bool any(Mask<float> mask) { return _mm256_movemask_ps(mask.raw) != 0; }
RUSTTORCH_INLINE bool all(Mask<float> mask) { return _mm256_movemask_ps(mask.raw) == 0xff; }
RUSTTORCH_INLINE bool any(Mask<double> mask) { return _mm256_movemask_pd(mask.raw) != 0; }
RUSTTORCH_INLINE bool all(Mask<double> mask) { return _mm256_movemask_pd(mask.raw) == 0xf; }
RUSTTORCH_INLINE bool any(Mask<int32_t> mask) { return _mm256_movemask_epi8(mask.raw) != 0; }
RUSTTORCH_INLINE bool all(Mask<int32_t> mask) { return _mm256_movemask_epi8(mask.raw) == -1; }
RUSTTORCH_INLINE bool any(Mask<int64_t> mask) { return _mm256_movemask_epi8(mask.raw) != 0; }
RUSTTORCH_INLINE bool all(Mask<int64_t> mask) { return _mm256_movemask_epi8(mask.raw) == -1; }
RUSTTORCH_INLINE int first_set(Mask<float> mask) { return __builtin_ctz(unsigned(_mm256_movemask_ps(mask.raw))); }
RUSTTORCH_INLINE int first_set(Mask<double> mask) { return __builtin_ctz(unsigned(_mm256_movemask_pd(mask.raw))); }

template <class T>
RUSTTORCH_INLINE Mask<T> first_lanes(int64_t n);
template <>
RUSTTORCH_INLINE Mask<float> first_lanes<float>(int64_t n) {
  return Mask<float>(_mm256_castsi256_ps(first_lanes_32(n)));
}
template <>
RUSTTORCH_INLINE Mask<double> first_lanes<double>(int64_t n) {
  return Mask<double>(_mm256_castsi256_pd(first_lanes_64(n)));
}
template <>
RUSTTORCH_INLINE Mask<int32_t> first_lanes<int32_t>(int64_t n) {
  return Mask<int32_t>(first_lanes_32(n));
}
template <>
RUSTTORCH_INLINE Mask<int64_t> first_lanes<int64_t>(int64_t n) {
  return Mask<int64_t>(first_lanes_64(n));
}

RUSTTORCH_INLINE Vec<int32_t> operator&(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_and_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator|(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_or_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator^(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm256_xor_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator~(Vec<int32_t> a) {
  return Vec<int32_t>(_mm256_xor_si256(a.raw, _mm256_set1_epi32(-1)));
}
RUSTTORCH_INLINE Vec<int64_t> operator&(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm256_and_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator|(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm256_or_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator^(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm256_xor_si256(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator~(Vec<int64_t> a) {
  return Vec<int64_t>(_mm256_xor_si256(a.raw, _mm256_set1_epi32(-1)));
}
template <int k>
RUSTTORCH_INLINE Vec<int32_t> shift_left(Vec<int32_t> v) {
  return Vec<int32_t>(_mm256_slli_epi32(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int32_t> shift_right(Vec<int32_t> v) {
  return Vec<int32_t>(_mm256_srli_epi32(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int64_t> shift_left(Vec<int64_t> v) {
  return Vec<int64_t>(_mm256_slli_epi64(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int64_t> shift_right(Vec<int64_t> v) {
  return Vec<int64_t>(_mm256_srli_epi64(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int32_t> shift_right_arithmetic(Vec<int32_t> v) {
  return Vec<int32_t>(_mm256_srai_epi32(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int64_t> shift_right_arithmetic(
    Vec<int64_t> v) {  // logical shift; the sign comes in from the left
  const __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), v.raw);
  return Vec<int64_t>(_mm256_or_si256(_mm256_srli_epi64(v.raw, k), _mm256_slli_epi64(negative, 64 - k)));
}

RUSTTORCH_INLINE Vec<int32_t> bits(Vec<float> v) { return Vec<int32_t>(_mm256_castps_si256(v.raw)); }
RUSTTORCH_INLINE Vec<int64_t> bits(Vec<double> v) { return Vec<int64_t>(_mm256_castpd_si256(v.raw)); }
RUSTTORCH_INLINE Vec<float> from_bits(Vec<int32_t> v) { return Vec<float>(_mm256_castsi256_ps(v.raw)); }
RUSTTORCH_INLINE Vec<double> from_bits(Vec<int64_t> v) { return Vec<double>(_mm256_castsi256_pd(v.raw)); }
RUSTTORCH_INLINE Vec<int32_t> to_int(Vec<float> v) { return Vec<int32_t>(_mm256_cvtps_epi32(v.raw)); }
// 1.5 * 2^52 has its units in the last bit of the mantissa: adding it leaves the integer in the low bits.
RUSTTORCH_INLINE Vec<int64_t> to_int(Vec<double> v) {
  const Vec<double> magic(6755399441055744.0);
  return bits(v + magic) - bits(magic);
}
RUSTTORCH_INLINE Vec<float> to_float(Vec<int32_t> v) { return Vec<float>(_mm256_cvtepi32_ps(v.raw)); }
RUSTTORCH_INLINE Vec<double> to_double(Vec<int64_t> v) {
  const Vec<double> magic(6755399441055744.0);
  return from_bits(v + bits(magic)) - magic;
}
RUSTTORCH_INLINE void to_doubles(Vec<float> v, Vec<double> (&out)[2]) {
  out[0] = Vec<double>(_mm256_cvtps_pd(_mm256_castps256_ps128(v.raw)));
  out[1] = Vec<double>(_mm256_cvtps_pd(_mm256_extractf128_ps(v.raw, 1)));
}
RUSTTORCH_INLINE void to_doubles(Vec<double> v, Vec<double> (&out)[1]) { out[0] = v; }
RUSTTORCH_INLINE Vec<float> scale(Vec<float> v, Vec<float> n) { return scale_in_steps(v, n); }
RUSTTORCH_INLINE Vec<double> scale(Vec<double> v, Vec<double> n) { return scale_in_steps(v, n); }
// Doubles hold 32-bit operands and their quotient's position between integers exactly. The conversion back gives
// INT_MIN for whatever does not fit: 2^31 = INT_MIN / -1, and the infinities of a zero divisor.
template <bool floored>
RUSTTORCH_INLINE __m128i divide_half(__m128i a, __m128i b) {
  const __m256d quotient = _mm256_div_pd(_mm256_cvtepi32_pd(a), _mm256_cvtepi32_pd(b));
  return _mm256_cvttpd_epi32(floored ? floor(Vec<double>(quotient)).raw : quotient);
}
template <bool floored>
RUSTTORCH_INLINE Vec<int32_t> divide_integers(Vec<int32_t> a, Vec<int32_t> b) {
  const __m128i low = divide_half<floored>(_mm256_castsi256_si128(a.raw), _mm256_castsi256_si128(b.raw));
  const __m128i high = divide_half<floored>(_mm256_extracti128_si256(a.raw, 1), _mm256_extracti128_si256(b.raw, 1));
  return Vec<int32_t>(_mm256_set_m128i(high, low));
}
RUSTTORCH_INLINE Vec<int32_t> divide_trunc(Vec<int32_t> a, Vec<int32_t> b) { return divide_integers<false>(a, b); }
RUSTTORCH_INLINE Vec<int32_t> divide_floor(Vec<int32_t> a, Vec<int32_t> b) { return divide_integers<true>(a, b); }
inline constexpr bool kPermutesTables = false;
RUSTTORCH_INLINE Vec<float> gather_table16(const float* table, Vec<int32_t> index) {
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index.raw);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), index.raw);
  return Vec<float>(_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index.raw, 28))));
}
RUSTTORCH_INLINE void multiply_wide(Vec<int32_t> a, Vec<int32_t> b, Vec<int32_t>& low, Vec<int32_t>& high) {
  const __m256i even = _mm256_mul_epu32(a.raw, b.raw);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a.raw, 32), _mm256_srli_epi64(b.raw, 32));
  low = Vec<int32_t>(_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa));
  high = Vec<int32_t>(_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa));
}
RUSTTORCH_INLINE void store_bytes(Mask<int32_t> mask, uint8_t* p) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(mask.raw), _mm256_extracti128_si256(mask.raw, 1));
  const __m128i bytes = _mm_and_si128(_mm_packs_epi16(words, words), _mm_set1_epi8(1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), bytes);
}
template <class T>
RUSTTORCH_INLINE Mask<T> load_bytes(const uint8_t* p);
template <>
RUSTTORCH_INLINE Mask<float> load_bytes<float>(const uint8_t* p) {
  const __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  return Mask<float>(_mm256_castsi256_ps(_mm256_cmpgt_epi32(lanes, _mm256_setzero_si256())));
}
template <>
RUSTTORCH_INLINE Mask<double> load_bytes<double>(const uint8_t* p) {
  int32_t bytes;
  std::memcpy(&bytes, p, sizeof(bytes));
  const __m256i lanes = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(bytes));
  return Mask<double>(_mm256_castsi256_pd(_mm256_cmpgt_epi64(lanes, _mm256_setzero_si256())));
}

}  // namespace rusttorch::RUSTTORCH_ISA

#include "vec_avx2_reduce.h"
