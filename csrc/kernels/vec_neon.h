// Vec and Mask for NEON (aarch64): 128 bits. The contract is in vec.h.
#pragma once
#include "vec_neon_types.h"

namespace rusttorch::RUSTTORCH_ISA {

RUSTTORCH_INLINE Vec<float> operator+(Vec<float> a, Vec<float> b) { return Vec<float>(vaddq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<float> operator-(Vec<float> a, Vec<float> b) { return Vec<float>(vsubq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator+(Vec<double> a, Vec<double> b) { return Vec<double>(vaddq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator-(Vec<double> a, Vec<double> b) { return Vec<double>(vsubq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<int32_t> operator+(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(vaddq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator-(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(vsubq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator+(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(vaddq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator-(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(vsubq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> operator*(Vec<float> a, Vec<float> b) { return Vec<float>(vmulq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator*(Vec<double> a, Vec<double> b) { return Vec<double>(vmulq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<int32_t> operator*(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(vmulq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator*(Vec<int64_t> a, Vec<int64_t> b) {  // no instruction; unsigned, so that it wraps
  const uint64_t low = uint64_t(vgetq_lane_s64(a.raw, 0)) * uint64_t(vgetq_lane_s64(b.raw, 0));
  const uint64_t high = uint64_t(vgetq_lane_s64(a.raw, 1)) * uint64_t(vgetq_lane_s64(b.raw, 1));
  return Vec<int64_t>(vcombine_s64(vcreate_s64(low), vcreate_s64(high)));
}
RUSTTORCH_INLINE Vec<float> operator/(Vec<float> a, Vec<float> b) { return Vec<float>(vdivq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> operator/(Vec<double> a, Vec<double> b) { return Vec<double>(vdivq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<float> operator-(Vec<float> a) { return Vec<float>(vnegq_f32(a.raw)); }
RUSTTORCH_INLINE Vec<double> operator-(Vec<double> a) { return Vec<double>(vnegq_f64(a.raw)); }
RUSTTORCH_INLINE Vec<int32_t> operator-(Vec<int32_t> a) { return Vec<int32_t>(vnegq_s32(a.raw)); }
RUSTTORCH_INLINE Vec<int64_t> operator-(Vec<int64_t> a) { return Vec<int64_t>(vnegq_s64(a.raw)); }

RUSTTORCH_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(vfmaq_f32(c.raw, a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(vfmsq_f32(c.raw, a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> sqrt(Vec<float> v) { return Vec<float>(vsqrtq_f32(v.raw)); }
RUSTTORCH_INLINE Vec<float> abs(Vec<float> v) { return Vec<float>(vabsq_f32(v.raw)); }
RUSTTORCH_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  return Vec<float>(vbslq_f32(vdupq_n_u32(0x80000000), sign.raw, magnitude.raw));
}
RUSTTORCH_INLINE Vec<float> round(Vec<float> v) { return Vec<float>(vrndnq_f32(v.raw)); }
RUSTTORCH_INLINE Vec<float> floor(Vec<float> v) { return Vec<float>(vrndmq_f32(v.raw)); }
RUSTTORCH_INLINE Vec<float> trunc(Vec<float> v) { return Vec<float>(vrndq_f32(v.raw)); }
RUSTTORCH_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(vfmaq_f64(c.raw, a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(vfmsq_f64(c.raw, a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> sqrt(Vec<double> v) { return Vec<double>(vsqrtq_f64(v.raw)); }
RUSTTORCH_INLINE Vec<double> abs(Vec<double> v) { return Vec<double>(vabsq_f64(v.raw)); }
RUSTTORCH_INLINE Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  return Vec<double>(vbslq_f64(vdupq_n_u64(0x8000000000000000), sign.raw, magnitude.raw));
}
RUSTTORCH_INLINE Vec<double> round(Vec<double> v) { return Vec<double>(vrndnq_f64(v.raw)); }
RUSTTORCH_INLINE Vec<double> floor(Vec<double> v) { return Vec<double>(vrndmq_f64(v.raw)); }
RUSTTORCH_INLINE Vec<double> trunc(Vec<double> v) { return Vec<double>(vrndq_f64(v.raw)); }
RUSTTORCH_INLINE Vec<int32_t> abs(Vec<int32_t> v) { return Vec<int32_t>(vabsq_s32(v.raw)); }
RUSTTORCH_INLINE Vec<int64_t> abs(Vec<int64_t> v) { return Vec<int64_t>(vabsq_s64(v.raw)); }

// fmin and fmax hand on a NaN from either side; min_number is spelt out to return b then.
RUSTTORCH_INLINE Vec<float> min_number(Vec<float> a, Vec<float> b) {
  return Vec<float>(vbslq_f32(vcltq_f32(a.raw, b.raw), a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> minimum(Vec<float> a, Vec<float> b) { return Vec<float>(vminq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<float> max_number(Vec<float> a, Vec<float> b) {
  return Vec<float>(vbslq_f32(vcgtq_f32(a.raw, b.raw), a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) { return Vec<float>(vmaxq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> min_number(Vec<double> a, Vec<double> b) {
  return Vec<double>(vbslq_f64(vcltq_f64(a.raw, b.raw), a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> minimum(Vec<double> a, Vec<double> b) { return Vec<double>(vminq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<double> max_number(Vec<double> a, Vec<double> b) {
  return Vec<double>(vbslq_f64(vcgtq_f64(a.raw, b.raw), a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<double> maximum(Vec<double> a, Vec<double> b) { return Vec<double>(vmaxq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<int32_t> min_number(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(vminq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> minimum(Vec<int32_t> a, Vec<int32_t> b) { return Vec<int32_t>(vminq_s32(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<int32_t> max_number(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(vmaxq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> maximum(Vec<int32_t> a, Vec<int32_t> b) { return Vec<int32_t>(vmaxq_s32(a.raw, b.raw)); }
RUSTTORCH_INLINE Vec<int64_t> min_number(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(vbslq_s64(vcltq_s64(a.raw, b.raw), a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> minimum(Vec<int64_t> a, Vec<int64_t> b) { return min_number(a, b); }
RUSTTORCH_INLINE Vec<int64_t> max_number(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(vbslq_s64(vcgtq_s64(a.raw, b.raw), a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> maximum(Vec<int64_t> a, Vec<int64_t> b) { return max_number(a, b); }

RUSTTORCH_INLINE Mask<float> operator<(Vec<float> a, Vec<float> b) { return Mask<float>(vcltq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<float> operator<=(Vec<float> a, Vec<float> b) { return Mask<float>(vcleq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<float> operator>(Vec<float> a, Vec<float> b) { return Mask<float>(vcgtq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<float> operator>=(Vec<float> a, Vec<float> b) { return Mask<float>(vcgeq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<float> operator==(Vec<float> a, Vec<float> b) { return Mask<float>(vceqq_f32(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<float> operator!=(Vec<float> a, Vec<float> b) {
  return Mask<float>(vmvnq_u32(vceqq_f32(a.raw, b.raw)));
}
RUSTTORCH_INLINE Mask<double> operator<(Vec<double> a, Vec<double> b) { return Mask<double>(vcltq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<double> operator<=(Vec<double> a, Vec<double> b) { return Mask<double>(vcleq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<double> operator>(Vec<double> a, Vec<double> b) { return Mask<double>(vcgtq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<double> operator>=(Vec<double> a, Vec<double> b) { return Mask<double>(vcgeq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<double> operator==(Vec<double> a, Vec<double> b) { return Mask<double>(vceqq_f64(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<double> operator!=(Vec<double> a, Vec<double> b) {
  return Mask<double>(veorq_u64(vceqq_f64(a.raw, b.raw), vdupq_n_u64(~uint64_t(0))));
}
RUSTTORCH_INLINE Mask<int32_t> operator<(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(vcltq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator<=(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(vcleq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator>(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(vcgtq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator>=(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(vcgeq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator==(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(vceqq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator!=(Vec<int32_t> a, Vec<int32_t> b) {
  return Mask<int32_t>(vmvnq_u32(vceqq_s32(a.raw, b.raw)));
}
RUSTTORCH_INLINE Mask<int64_t> operator<(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(vcltq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator<=(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(vcleq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator>(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(vcgtq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator>=(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(vcgeq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator==(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(vceqq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator!=(Vec<int64_t> a, Vec<int64_t> b) {
  return Mask<int64_t>(veorq_u64(vceqq_s64(a.raw, b.raw), vdupq_n_u64(~uint64_t(0))));
}
RUSTTORCH_INLINE Mask<float> operator&(Mask<float> a, Mask<float> b) { return Mask<float>(vandq_u32(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<float> operator|(Mask<float> a, Mask<float> b) { return Mask<float>(vorrq_u32(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<float> operator^(Mask<float> a, Mask<float> b) { return Mask<float>(veorq_u32(a.raw, b.raw)); }
RUSTTORCH_INLINE Mask<float> operator~(Mask<float> a) { return Mask<float>(vmvnq_u32(a.raw)); }
RUSTTORCH_INLINE Mask<double> operator&(Mask<double> a, Mask<double> b) {
  return Mask<double>(vandq_u64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<double> operator|(Mask<double> a, Mask<double> b) {
  return Mask<double>(vorrq_u64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<double> operator^(Mask<double> a, Mask<double> b) {
  return Mask<double>(veorq_u64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<double> operator~(Mask<double> a) {
  return Mask<double>(veorq_u64(a.raw, vdupq_n_u64(~uint64_t(0))));
}
RUSTTORCH_INLINE Mask<int32_t> operator&(Mask<int32_t> a, Mask<int32_t> b) {
  return Mask<int32_t>(vandq_u32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator|(Mask<int32_t> a, Mask<int32_t> b) {
  return Mask<int32_t>(vorrq_u32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator^(Mask<int32_t> a, Mask<int32_t> b) {
  return Mask<int32_t>(veorq_u32(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int32_t> operator~(Mask<int32_t> a) { return Mask<int32_t>(vmvnq_u32(a.raw)); }
RUSTTORCH_INLINE Mask<int64_t> operator&(Mask<int64_t> a, Mask<int64_t> b) {
  return Mask<int64_t>(vandq_u64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator|(Mask<int64_t> a, Mask<int64_t> b) {
  return Mask<int64_t>(vorrq_u64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator^(Mask<int64_t> a, Mask<int64_t> b) {
  return Mask<int64_t>(veorq_u64(a.raw, b.raw));
}
RUSTTORCH_INLINE Mask<int64_t> operator~(Mask<int64_t> a) {
  return Mask<int64_t>(veorq_u64(a.raw, vdupq_n_u64(~uint64_t(0))));
}
RUSTTORCH_INLINE Mask<float> is_nan(Vec<float> v) { return v != v; }
RUSTTORCH_INLINE Mask<double> is_nan(Vec<double> v) { return v != v; }
RUSTTORCH_INLINE Mask<float> either_is_nan(Vec<float> a, Vec<float> b) { return is_nan(a) | is_nan(b); }
RUSTTORCH_INLINE Mask<double> either_is_nan(Vec<double> a, Vec<double> b) { return is_nan(a) | is_nan(b); }
// clang 14 makes a maximum of x < 0 ? 0 : x, which gives 0 for -0. It cannot where it does not know what the mask is.
template <class M>
RUSTTORCH_INLINE M hidden(M mask) {
#ifdef __clang__
  asm("" : "+w"(mask.raw));
#endif
  return mask;
}
RUSTTORCH_INLINE Vec<float> select(Mask<float> mask, Vec<float> yes, Vec<float> no) {
  return Vec<float>(vbslq_f32(hidden(mask).raw, yes.raw, no.raw));
}
RUSTTORCH_INLINE Vec<double> select(Mask<double> mask, Vec<double> yes, Vec<double> no) {
  return Vec<double>(vbslq_f64(hidden(mask).raw, yes.raw, no.raw));
}
RUSTTORCH_INLINE Vec<int32_t> select(Mask<int32_t> mask, Vec<int32_t> yes, Vec<int32_t> no) {
  return Vec<int32_t>(vbslq_s32(mask.raw, yes.raw, no.raw));
}
RUSTTORCH_INLINE Vec<int64_t> select(Mask<int64_t> mask, Vec<int64_t> yes, Vec<int64_t> no) {
  return Vec<int64_t>(vbslq_s64(mask.raw, yes.raw, no.raw));
}
RUSTTORCH_INLINE bool any(Mask<float> mask) { return vmaxvq_u32(mask.raw) != 0; }
RUSTTORCH_INLINE bool all(Mask<float> mask) { return vminvq_u32(mask.raw) != 0; }
RUSTTORCH_INLINE bool any(Mask<double> mask) { return vmaxvq_u32(vreinterpretq_u32_u64(mask.raw)) != 0; }
RUSTTORCH_INLINE bool all(Mask<double> mask) { return vminvq_u32(vreinterpretq_u32_u64(mask.raw)) != 0; }
RUSTTORCH_INLINE bool any(Mask<int32_t> mask) { return vmaxvq_u32(mask.raw) != 0; }
RUSTTORCH_INLINE bool all(Mask<int32_t> mask) { return vminvq_u32(mask.raw) != 0; }
RUSTTORCH_INLINE bool any(Mask<int64_t> mask) { return vmaxvq_u32(vreinterpretq_u32_u64(mask.raw)) != 0; }
RUSTTORCH_INLINE bool all(Mask<int64_t> mask) { return vminvq_u32(vreinterpretq_u32_u64(mask.raw)) != 0; }
RUSTTORCH_INLINE int first_set(Mask<float> mask) {
  return __builtin_ctzll(vget_lane_u64(vreinterpret_u64_u16(vmovn_u32(mask.raw)), 0)) / 16;
}
RUSTTORCH_INLINE int first_set(Mask<double> mask) { return vgetq_lane_u64(mask.raw, 0) ? 0 : 1; }

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
  return Vec<int32_t>(vandq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator|(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(vorrq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator^(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(veorq_s32(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> operator~(Vec<int32_t> a) { return Vec<int32_t>(vmvnq_s32(a.raw)); }
RUSTTORCH_INLINE Vec<int64_t> operator&(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(vandq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator|(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(vorrq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator^(Vec<int64_t> a, Vec<int64_t> b) {
  return Vec<int64_t>(veorq_s64(a.raw, b.raw));
}
RUSTTORCH_INLINE Vec<int64_t> operator~(Vec<int64_t> a) { return Vec<int64_t>(veorq_s64(a.raw, vdupq_n_s64(-1))); }
template <int k>
RUSTTORCH_INLINE Vec<int32_t> shift_left(Vec<int32_t> v) {
  return Vec<int32_t>(vshlq_n_s32(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int32_t> shift_right(Vec<int32_t> v) {
  return Vec<int32_t>(vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(v.raw), k)));
}
template <int k>
RUSTTORCH_INLINE Vec<int32_t> shift_right_arithmetic(Vec<int32_t> v) {
  return Vec<int32_t>(vshrq_n_s32(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int64_t> shift_left(Vec<int64_t> v) {
  return Vec<int64_t>(vshlq_n_s64(v.raw, k));
}
template <int k>
RUSTTORCH_INLINE Vec<int64_t> shift_right(Vec<int64_t> v) {
  return Vec<int64_t>(vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_s64(v.raw), k)));
}
template <int k>
RUSTTORCH_INLINE Vec<int64_t> shift_right_arithmetic(Vec<int64_t> v) {
  return Vec<int64_t>(vshrq_n_s64(v.raw, k));
}

RUSTTORCH_INLINE Vec<int32_t> bits(Vec<float> v) { return Vec<int32_t>(vreinterpretq_s32_f32(v.raw)); }
RUSTTORCH_INLINE Vec<int64_t> bits(Vec<double> v) { return Vec<int64_t>(vreinterpretq_s64_f64(v.raw)); }
RUSTTORCH_INLINE Vec<float> from_bits(Vec<int32_t> v) { return Vec<float>(vreinterpretq_f32_s32(v.raw)); }
RUSTTORCH_INLINE Vec<double> from_bits(Vec<int64_t> v) { return Vec<double>(vreinterpretq_f64_s64(v.raw)); }
RUSTTORCH_INLINE Vec<int32_t> to_int(Vec<float> v) { return Vec<int32_t>(vcvtnq_s32_f32(v.raw)); }
RUSTTORCH_INLINE Vec<int64_t> to_int(Vec<double> v) { return Vec<int64_t>(vcvtnq_s64_f64(v.raw)); }
RUSTTORCH_INLINE Vec<float> to_float(Vec<int32_t> v) { return Vec<float>(vcvtq_f32_s32(v.raw)); }
RUSTTORCH_INLINE Vec<double> to_double(Vec<int64_t> v) { return Vec<double>(vcvtq_f64_s64(v.raw)); }
RUSTTORCH_INLINE void to_doubles(Vec<float> v, Vec<double> (&out)[2]) {
  out[0] = Vec<double>(vcvt_f64_f32(vget_low_f32(v.raw)));
  out[1] = Vec<double>(vcvt_high_f64_f32(v.raw));
}
RUSTTORCH_INLINE void to_doubles(Vec<double> v, Vec<double> (&out)[1]) { out[0] = v; }
RUSTTORCH_INLINE Vec<float> scale(Vec<float> v, Vec<float> n) { return scale_in_steps(v, n); }
RUSTTORCH_INLINE Vec<double> scale(Vec<double> v, Vec<double> n) { return scale_in_steps(v, n); }
// Doubles hold 32-bit operands and their quotient's position between integers exactly. Narrowing keeps the low 32 bits:
// 2^31 = INT_MIN / -1 becomes INT_MIN.
template <bool floored>
RUSTTORCH_INLINE int32x2_t divide_half(int32x2_t a, int32x2_t b) {
  const float64x2_t quotient = vdivq_f64(vcvtq_f64_s64(vmovl_s32(a)), vcvtq_f64_s64(vmovl_s32(b)));
  return vmovn_s64(floored ? vcvtmq_s64_f64(quotient) : vcvtq_s64_f64(quotient));
}
template <bool floored>
RUSTTORCH_INLINE Vec<int32_t> divide_integers(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(vcombine_s32(divide_half<floored>(vget_low_s32(a.raw), vget_low_s32(b.raw)),
                                   divide_half<floored>(vget_high_s32(a.raw), vget_high_s32(b.raw))));
}
RUSTTORCH_INLINE Vec<int32_t> divide_trunc(Vec<int32_t> a, Vec<int32_t> b) { return divide_integers<false>(a, b); }
RUSTTORCH_INLINE Vec<int32_t> divide_floor(Vec<int32_t> a, Vec<int32_t> b) { return divide_integers<true>(a, b); }
inline constexpr bool kPermutesTables = true;
// A look-up of bytes: index * 4 in each byte of a lane, plus 0, 1, 2, 3.
RUSTTORCH_INLINE Vec<float> gather_table16(const float* table, Vec<int32_t> index) {
  const uint32x4_t entry = vandq_u32(vreinterpretq_u32_s32(index.raw), vdupq_n_u32(15));
  const uint32x4_t bytes = vaddq_u32(vmulq_n_u32(entry, 0x04040404), vdupq_n_u32(0x03020100));
  const uint8x16x4_t entries = vld1q_u8_x4(reinterpret_cast<const uint8_t*>(table));
  return Vec<float>(vreinterpretq_f32_u8(vqtbl4q_u8(entries, vreinterpretq_u8_u32(bytes))));
}
RUSTTORCH_INLINE void multiply_wide(Vec<int32_t> a, Vec<int32_t> b, Vec<int32_t>& low, Vec<int32_t>& high) {
  const uint32x4_t x = vreinterpretq_u32_s32(a.raw), y = vreinterpretq_u32_s32(b.raw);
  const uint32x4_t first = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(x), vget_low_u32(y)));
  const uint32x4_t second = vreinterpretq_u32_u64(vmull_high_u32(x, y));
  low = Vec<int32_t>(vreinterpretq_s32_u32(vuzp1q_u32(first, second)));
  high = Vec<int32_t>(vreinterpretq_s32_u32(vuzp2q_u32(first, second)));
}
RUSTTORCH_INLINE void store_bytes(Mask<int32_t> mask, uint8_t* p) {
  const uint16x4_t words = vmovn_u32(mask.raw);
  const uint8x8_t bytes = vand_u8(vmovn_u16(vcombine_u16(words, words)), vdup_n_u8(1));
  const uint32_t lanes = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
  std::memcpy(p, &lanes, sizeof(lanes));
}
template <class T>
RUSTTORCH_INLINE Mask<T> load_bytes(const uint8_t* p);
template <>
RUSTTORCH_INLINE Mask<float> load_bytes<float>(const uint8_t* p) {
  const uint32x4_t lanes = {p[0], p[1], p[2], p[3]};
  return Mask<float>(vtstq_u32(lanes, lanes));
}
template <>
RUSTTORCH_INLINE Mask<double> load_bytes<double>(const uint8_t* p) {
  const uint64x2_t lanes = {p[0], p[1]};
  return Mask<double>(vtstq_u64(lanes, lanes));
}

template <int n>
RUSTTORCH_INLINE Vec<float> add_halves(Vec<float> v) {
  if constexpr (n == 4) return v + Vec<float>(vextq_f32(v.raw, v.raw, 2));
  if constexpr (n == 2) return v + Vec<float>(vrev64q_f32(v.raw));
}
// Lane i + lane i + 2, then the two that are left.
RUSTTORCH_INLINE float reduce_add(Vec<float> v) {
  const float32x2_t two = vadd_f32(vget_low_f32(v.raw), vget_high_f32(v.raw));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
RUSTTORCH_INLINE double reduce_add(Vec<double> v) { return vgetq_lane_f64(v.raw, 0) + vgetq_lane_f64(v.raw, 1); }
RUSTTORCH_INLINE int32_t reduce_add(Vec<int32_t> v) { return vaddvq_s32(v.raw); }
RUSTTORCH_INLINE int64_t reduce_add(Vec<int64_t> v) { return vaddvq_s64(v.raw); }
RUSTTORCH_INLINE float reduce_max(Vec<float> v) { return vmaxvq_f32(v.raw); }
RUSTTORCH_INLINE double reduce_max(Vec<double> v) { return vmaxvq_f64(v.raw); }
RUSTTORCH_INLINE float reduce_max_number(Vec<float> v) { return vmaxvq_f32(v.raw); }
RUSTTORCH_INLINE double reduce_max_number(Vec<double> v) { return vmaxvq_f64(v.raw); }
RUSTTORCH_INLINE int32_t reduce_max(Vec<int32_t> v) { return vmaxvq_s32(v.raw); }
RUSTTORCH_INLINE int64_t reduce_max(Vec<int64_t> v) {
  const int64_t first = vgetq_lane_s64(v.raw, 0), second = vgetq_lane_s64(v.raw, 1);
  return first > second ? first : second;
}

}  // namespace rusttorch::RUSTTORCH_ISA
