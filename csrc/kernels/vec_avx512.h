// Vec and Mask for AVX-512 (F, DQ, BW, VL): 512 bits. The contract is in vec.h.
#pragma once
#include "vec_avx512_types.h"

namespace rusttorch::RUSTTORCH_ISA {

RUSTTORCH_INLINE Vec<float> operator+(Vec<float> a, Vec<float> b) { return Vec<float>(_mm512_add_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<float> operator-(Vec<float> a, Vec<float> b) { return Vec<float>(_mm512_sub_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator+(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm512_add_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> operator-(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm512_sub_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator+(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm512_add_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator-(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm512_sub_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator+(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_add_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator-(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_sub_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> operator*(Vec<float> a, Vec<float> b) { return Vec<float>(_mm512_mul_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator*(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm512_mul_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator*(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm512_mullo_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator*(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_mullo_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> operator/(Vec<float> a, Vec<float> b) { return Vec<float>(_mm512_div_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator/(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm512_div_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> operator-(Vec<float> a) { return Vec<float>(_mm512_xor_ps(a.raw, _mm512_set1_ps(-0.0f))); }
RUSTTORCH_INLINE Vec<double> operator-(Vec<double> a) {
  return Vec<double>(_mm512_xor_pd(a.raw, _mm512_set1_pd(-0.0)));
}
RUSTTORCH_INLINE Vec<int32_t> operator-(Vec<int32_t> a) {
  return Vec<int32_t>(_mm512_sub_epi32(_mm512_setzero_si512(), a.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator-(Vec<int64_t> a) {
  return Vec<int64_t>(_mm512_sub_epi64(_mm512_setzero_si512(), a.raw));
}

RUSTTORCH_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(_mm512_fmadd_ps(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(_mm512_fnmadd_ps(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<float> sqrt(Vec<float> v) { return Vec<float>(_mm512_sqrt_ps(v.raw)); }
RUSTTORCH_INLINE Vec<float> abs(Vec<float> v) { return Vec<float>(_mm512_andnot_ps(_mm512_set1_ps(-0.0f), v.raw)); }
RUSTTORCH_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  const __m512 sign_bit = _mm512_set1_ps(-0.0f);
  return Vec<float>(_mm512_or_ps(_mm512_and_ps(sign_bit, sign.raw), _mm512_andnot_ps(sign_bit, magnitude.raw)));
}
RUSTTORCH_INLINE Vec<float> round(Vec<float> v) {
  return Vec<float>(_mm512_roundscale_ps(v.raw, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<float> floor(Vec<float> v) {
  return Vec<float>(_mm512_roundscale_ps(v.raw, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<float> trunc(Vec<float> v) {
  return Vec<float>(_mm512_roundscale_ps(v.raw, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(_mm512_fmadd_pd(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(_mm512_fnmadd_pd(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<double> sqrt(Vec<double> v) { return Vec<double>(_mm512_sqrt_pd(v.raw)); }
RUSTTORCH_INLINE Vec<double> abs(Vec<double> v) { return Vec<double>(_mm512_andnot_pd(_mm512_set1_pd(-0.0), v.raw)); }
RUSTTORCH_INLINE Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  const __m512d sign_bit = _mm512_set1_pd(-0.0);
  return Vec<double>(_mm512_or_pd(_mm512_and_pd(sign_bit, sign.raw), _mm512_andnot_pd(sign_bit, magnitude.raw)));
}
RUSTTORCH_INLINE Vec<double> round(Vec<double> v) {
  return Vec<double>(_mm512_roundscale_pd(v.raw, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<double> floor(Vec<double> v) {
  return Vec<double>(_mm512_roundscale_pd(v.raw, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<double> trunc(Vec<double> v) {
  return Vec<double>(_mm512_roundscale_pd(v.raw, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
}
RUSTTORCH_INLINE Vec<int32_t> abs(Vec<int32_t> v) { return Vec<int32_t>(_mm512_abs_epi32(v.raw)); }
RUSTTORCH_INLINE Vec<int64_t> abs(Vec<int64_t> v) { return Vec<int64_t>(_mm512_abs_epi64(v.raw)); }

// vminps and vmaxps return the second operand when either is NaN, so only a NaN in the first needs care.
RUSTTORCH_INLINE Vec<float> min_number(Vec<float> a, Vec<float> b) { return Vec<float>(_mm512_min_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<float> minimum(Vec<float> a, Vec<float> b) {
  const __mmask16 nan = _mm512_cmp_ps_mask(a.raw, a.raw, _CMP_UNORD_Q);
  return Vec<float>(_mm512_mask_mov_ps(_mm512_min_ps(a.raw, b.raw), nan, a.raw));
}
RUSTTORCH_INLINE Vec<float> max_number(Vec<float> a, Vec<float> b) { return Vec<float>(_mm512_max_ps(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) {
  const __mmask16 nan = _mm512_cmp_ps_mask(a.raw, a.raw, _CMP_UNORD_Q);
  return Vec<float>(_mm512_mask_mov_ps(_mm512_max_ps(a.raw, b.raw), nan, a.raw));
}
RUSTTORCH_INLINE Vec<double> min_number(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm512_min_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> minimum(Vec<double> a, Vec<double> b) {
  const __mmask8 nan = _mm512_cmp_pd_mask(a.raw, a.raw, _CMP_UNORD_Q);
  return Vec<double>(_mm512_mask_mov_pd(_mm512_min_pd(a.raw, b.raw), nan, a.raw));
}
RUSTTORCH_INLINE Vec<double> max_number(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm512_max_pd(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> maximum(Vec<double> a, Vec<double> b) {
  const __mmask8 nan = _mm512_cmp_pd_mask(a.raw, a.raw, _CMP_UNORD_Q);
  return Vec<double>(_mm512_mask_mov_pd(_mm512_max_pd(a.raw, b.raw), nan, a.raw));
}
RUSTTORCH_INLINE Vec<int32_t> min_number(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm512_min_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> minimum(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm512_min_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> max_number(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm512_max_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> maximum(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm512_max_epi32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> min_number(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_min_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> minimum(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_min_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> max_number(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_max_epi64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> maximum(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_max_epi64(a.raw, b.raw));
}

RUSTTORCH_INLINE Mask<float> operator<(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm512_cmp_ps_mask(a.raw, b.raw, _CMP_LT_OQ));
}
RUSTTORCH_INLINE Mask<float> operator<=(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm512_cmp_ps_mask(a.raw, b.raw, _CMP_LE_OQ));
}
RUSTTORCH_INLINE Mask<float> operator>(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm512_cmp_ps_mask(a.raw, b.raw, _CMP_GT_OQ));
}
RUSTTORCH_INLINE Mask<float> operator>=(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm512_cmp_ps_mask(a.raw, b.raw, _CMP_GE_OQ));
}
RUSTTORCH_INLINE Mask<float> operator==(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm512_cmp_ps_mask(a.raw, b.raw, _CMP_EQ_OQ));
}
RUSTTORCH_INLINE Mask<float> operator!=(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm512_cmp_ps_mask(a.raw, b.raw, _CMP_NEQ_UQ));
}
RUSTTORCH_INLINE Mask<double> operator<(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm512_cmp_pd_mask(a.raw, b.raw, _CMP_LT_OQ));
}
RUSTTORCH_INLINE Mask<double> operator<=(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm512_cmp_pd_mask(a.raw, b.raw, _CMP_LE_OQ));
}
RUSTTORCH_INLINE Mask<double> operator>(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm512_cmp_pd_mask(a.raw, b.raw, _CMP_GT_OQ));
}
RUSTTORCH_INLINE Mask<double> operator>=(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm512_cmp_pd_mask(a.raw, b.raw, _CMP_GE_OQ));
}
RUSTTORCH_INLINE Mask<double> operator==(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm512_cmp_pd_mask(a.raw, b.raw, _CMP_EQ_OQ));
}
RUSTTORCH_INLINE Mask<double> operator!=(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm512_cmp_pd_mask(a.raw, b.raw, _CMP_NEQ_UQ));
}
RUSTTORCH_INLINE Mask<int32_t> operator<(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm512_cmplt_epi32_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator<=(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm512_cmple_epi32_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator>(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm512_cmpgt_epi32_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator>=(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm512_cmpge_epi32_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator==(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm512_cmpeq_epi32_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator!=(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(_mm512_cmpneq_epi32_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator<(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm512_cmplt_epi64_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator<=(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm512_cmple_epi64_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator>(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm512_cmpgt_epi64_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator>=(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm512_cmpge_epi64_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator==(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm512_cmpeq_epi64_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator!=(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(_mm512_cmpneq_epi64_mask(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<float> operator&(Mask<float> a, Mask<float> b) { return Mask<float>(__mmask16(a.raw & b.raw)); }
RUSTTORCH_INLINE Mask<float> operator|(Mask<float> a, Mask<float> b) { return Mask<float>(__mmask16(a.raw | b.raw)); }
RUSTTORCH_INLINE Mask<float> operator^(Mask<float> a, Mask<float> b) { return Mask<float>(__mmask16(a.raw ^ b.raw)); }
RUSTTORCH_INLINE Mask<float> operator~(Mask<float> a) { return Mask<float>(__mmask16(~a.raw)); }
RUSTTORCH_INLINE Mask<double> operator&(Mask<double> a, Mask<double> b) {
  return Mask<double>(__mmask8(a.raw & b.raw));
}
RUSTTORCH_INLINE Mask<double> operator|(Mask<double> a, Mask<double> b) {
  return Mask<double>(__mmask8(a.raw | b.raw));
}
RUSTTORCH_INLINE Mask<double> operator^(Mask<double> a, Mask<double> b) {
  return Mask<double>(__mmask8(a.raw ^ b.raw));
}
RUSTTORCH_INLINE Mask<double> operator~(Mask<double> a) { return Mask<double>(__mmask8(~a.raw)); }
RUSTTORCH_INLINE Mask<int32_t> operator&(Mask<int32_t> a, Mask<int32_t> b) {
  return Mask<int32_t>(__mmask16(a.raw & b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator|(Mask<int32_t> a, Mask<int32_t> b) {
  return Mask<int32_t>(__mmask16(a.raw | b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator^(Mask<int32_t> a, Mask<int32_t> b) {
  return Mask<int32_t>(__mmask16(a.raw ^ b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator~(Mask<int32_t> a) { return Mask<int32_t>(__mmask16(~a.raw)); }
RUSTTORCH_INLINE Mask<int64_t> operator&(Mask<int64_t> a, Mask<int64_t> b) {
  return Mask<int64_t>(__mmask8(a.raw & b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator|(Mask<int64_t> a, Mask<int64_t> b) {
  return Mask<int64_t>(__mmask8(a.raw | b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator^(Mask<int64_t> a, Mask<int64_t> b) {
  return Mask<int64_t>(__mmask8(a.raw ^ b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator~(Mask<int64_t> a) { return Mask<int64_t>(__mmask8(~a.raw)); }
RUSTTORCH_INLINE Mask<float> is_nan(Vec<float> v) {
  return Mask<float>(_mm512_cmp_ps_mask(v.raw, v.raw, _CMP_UNORD_Q));
}
RUSTTORCH_INLINE Mask<double> is_nan(Vec<double> v) {
  return Mask<double>(_mm512_cmp_pd_mask(v.raw, v.raw, _CMP_UNORD_Q));
}
RUSTTORCH_INLINE Mask<float> either_is_nan(Vec<float> a, Vec<float> b) {
  return Mask<float>(_mm512_cmp_ps_mask(a.raw, b.raw, _CMP_UNORD_Q));
}
RUSTTORCH_INLINE Mask<double> either_is_nan(Vec<double> a, Vec<double> b) {
  return Mask<double>(_mm512_cmp_pd_mask(a.raw, b.raw, _CMP_UNORD_Q));
}
RUSTTORCH_INLINE Vec<float> select(Mask<float> mask, Vec<float> yes, Vec<float> no) {
  return Vec<float>(_mm512_mask_blend_ps(mask.raw, no.raw, yes.raw));
}
RUSTTORCH_INLINE Vec<double> select(Mask<double> mask, Vec<double> yes, Vec<double> no) {
  return Vec<double>(_mm512_mask_blend_pd(mask.raw, no.raw, yes.raw));
}
RUSTTORCH_INLINE Vec<int32_t> select(Mask<int32_t> mask, Vec<int32_t> yes, Vec<int32_t> no) {
  return Vec<int32_t>(_mm512_mask_blend_epi32(mask.raw, no.raw, yes.raw));
}
RUSTTORCH_INLINE Vec<int64_t> select(Mask<int64_t> mask, Vec<int64_t> yes, Vec<int64_t> no) {
  return Vec<int64_t>(_mm512_mask_blend_epi64(mask.raw, no.raw, yes.raw));
}
RUSTTORCH_INLINE bool any(Mask<float> mask) { return mask.raw != 0; }
RUSTTORCH_INLINE bool all(Mask<float> mask) { return _mm512_kortestc(mask.raw, mask.raw); }
RUSTTORCH_INLINE bool any(Mask<double> mask) { return mask.raw != 0; }
RUSTTORCH_INLINE bool all(Mask<double> mask) { return mask.raw == 0xff; }
RUSTTORCH_INLINE bool any(Mask<int32_t> mask) { return mask.raw != 0; }
RUSTTORCH_INLINE bool all(Mask<int32_t> mask) { return mask.raw == 0xffff; }
RUSTTORCH_INLINE bool any(Mask<int64_t> mask) { return mask.raw != 0; }
RUSTTORCH_INLINE bool all(Mask<int64_t> mask) { return mask.raw == 0xff; }
RUSTTORCH_INLINE int first_set(Mask<float> mask) { return __builtin_ctz(mask.raw); }
RUSTTORCH_INLINE int first_set(Mask<double> mask) { return __builtin_ctz(mask.raw); }

template <class T>
RUSTTORCH_INLINE Mask<T> first_lanes(int64_t n);
template <>
RUSTTORCH_INLINE Mask<float> first_lanes<float>(int64_t n) {
  return Mask<float>(first_lanes_32(n));
}
template <>
RUSTTORCH_INLINE Mask<double> first_lanes<double>(int64_t n) {
  return Mask<double>(first_lanes_64(n));
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
  return Vec<int32_t>(_mm512_and_si512(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator|(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm512_or_si512(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator^(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(_mm512_xor_si512(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator~(Vec<int32_t> a) {
  return Vec<int32_t>(_mm512_xor_si512(a.raw, _mm512_set1_epi32(-1)));
}
RUSTTORCH_INLINE Vec<int64_t> operator&(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_and_si512(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator|(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_or_si512(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator^(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(_mm512_xor_si512(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator~(Vec<int64_t> a) {
  return Vec<int64_t>(_mm512_xor_si512(a.raw, _mm512_set1_epi32(-1)));
}
template <int k>
RUSTTORCH_INLINE Vec<int32_t> shift_left(Vec<int32_t> v) {
  return Vec<int32_t>(_mm512_slli_epi32(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int32_t> shift_right(Vec<int32_t> v) {
  return Vec<int32_t>(_mm512_srli_epi32(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int32_t> shift_right_arithmetic(Vec<int32_t> v) {
  return Vec<int32_t>(_mm512_srai_epi32(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int64_t> shift_left(Vec<int64_t> v) {
  return Vec<int64_t>(_mm512_slli_epi64(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int64_t> shift_right(Vec<int64_t> v) {
  return Vec<int64_t>(_mm512_srli_epi64(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int64_t> shift_right_arithmetic(Vec<int64_t> v) {
  return Vec<int64_t>(_mm512_srai_epi64(v.raw, k));
}

RUSTTORCH_INLINE Vec<int32_t> bits(Vec<float> v) { return Vec<int32_t>(_mm512_castps_si512(v.raw)); }
RUSTTORCH_INLINE Vec<int64_t> bits(Vec<double> v) { return Vec<int64_t>(_mm512_castpd_si512(v.raw)); }
RUSTTORCH_INLINE Vec<float> from_bits(Vec<int32_t> v) { return Vec<float>(_mm512_castsi512_ps(v.raw)); }
RUSTTORCH_INLINE Vec<double> from_bits(Vec<int64_t> v) { return Vec<double>(_mm512_castsi512_pd(v.raw)); }
RUSTTORCH_INLINE Vec<int32_t> to_int(Vec<float> v) { return Vec<int32_t>(_mm512_cvtps_epi32(v.raw)); }
RUSTTORCH_INLINE Vec<int64_t> to_int(Vec<double> v) { return Vec<int64_t>(_mm512_cvtpd_epi64(v.raw)); }
RUSTTORCH_INLINE Vec<float> to_float(Vec<int32_t> v) { return Vec<float>(_mm512_cvtepi32_ps(v.raw)); }
RUSTTORCH_INLINE Vec<double> to_double(Vec<int64_t> v) { return Vec<double>(_mm512_cvtepi64_pd(v.raw)); }
RUSTTORCH_INLINE void to_doubles(Vec<float> v, Vec<double> (&out)[2]) {
  out[0] = Vec<double>(_mm512_cvtps_pd(_mm512_castps512_ps256(v.raw)));
  out[1] = Vec<double>(_mm512_cvtps_pd(_mm512_extractf32x8_ps(v.raw, 1)));
}
RUSTTORCH_INLINE void to_doubles(Vec<double> v, Vec<double> (&out)[1]) { out[0] = v; }
RUSTTORCH_INLINE Vec<float> scale(Vec<float> v, Vec<float> n) { return Vec<float>(_mm512_scalef_ps(v.raw, n.raw)); }
RUSTTORCH_INLINE Vec<double> scale(Vec<double> v, Vec<double> n) { return Vec<double>(_mm512_scalef_pd(v.raw, n.raw)); }
// Doubles hold 32-bit operands and their quotient's position between integers exactly. The conversion back gives
// INT_MIN for whatever does not fit: 2^31 = INT_MIN / -1, and the infinities of a zero divisor.
template <bool floored>
RUSTTORCH_INLINE __m256i divide_half(__m256i a, __m256i b) {
  const __m512d quotient = _mm512_div_pd(_mm512_cvtepi32_pd(a), _mm512_cvtepi32_pd(b));
  return _mm512_cvttpd_epi32(floored ? floor(Vec<double>(quotient)).raw : quotient);
}
template <bool floored>
RUSTTORCH_INLINE Vec<int32_t> divide_integers(Vec<int32_t> a, Vec<int32_t> b) {
  const __m256i low = divide_half<floored>(_mm512_castsi512_si256(a.raw), _mm512_castsi512_si256(b.raw));
  const __m256i high = divide_half<floored>(_mm512_extracti64x4_epi64(a.raw, 1), _mm512_extracti64x4_epi64(b.raw, 1));
  return Vec<int32_t>(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}
RUSTTORCH_INLINE Vec<int32_t> divide_trunc(Vec<int32_t> a, Vec<int32_t> b) { return divide_integers<false>(a, b); }
RUSTTORCH_INLINE Vec<int32_t> divide_floor(Vec<int32_t> a, Vec<int32_t> b) { return divide_integers<true>(a, b); }
inline constexpr bool kPermutesTables = true;
RUSTTORCH_INLINE Vec<float> gather_table16(const float* table, Vec<int32_t> index) {
  return Vec<float>(_mm512_permutexvar_ps(index.raw, _mm512_loadu_ps(table)));
}
RUSTTORCH_INLINE void multiply_wide(Vec<int32_t> a, Vec<int32_t> b, Vec<int32_t>& low, Vec<int32_t>& high) {
  const __m512i even = _mm512_mul_epu32(a.raw, b.raw);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.raw, 32), _mm512_srli_epi64(b.raw, 32));
  low = Vec<int32_t>(_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32)));
  high = Vec<int32_t>(_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd));
}
RUSTTORCH_INLINE void store_bytes(Mask<int32_t> mask, uint8_t* p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_maskz_set1_epi8(mask.raw, 1));
}
template <class T>
RUSTTORCH_INLINE Mask<T> load_bytes(const uint8_t* p);
template <>
RUSTTORCH_INLINE Mask<float> load_bytes<float>(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return Mask<float>(_mm_test_epi8_mask(bytes, bytes));
}
template <>
RUSTTORCH_INLINE Mask<double> load_bytes<double>(const uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return Mask<double>(__mmask8(_mm_test_epi8_mask(bytes, bytes)));
}

}  // namespace rusttorch::RUSTTORCH_ISA

#include "vec_avx512_reduce.h"
