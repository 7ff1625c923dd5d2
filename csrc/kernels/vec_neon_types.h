// Vec and Mask for NEON (aarch64): 128 bits: the types, how they are loaded and stored, and transposed.
#pragma once
#include "vec.h"

namespace rusttorch::RUSTTORCH_ISA {

template <>
struct Mask<float> {  // all bits of a lane set, or none
  uint32x4_t raw;
  explicit RUSTTORCH_INLINE Mask(uint32x4_t value) : raw(value) {}
};
template <>
struct Mask<double> {  // all bits of a lane set, or none
  uint64x2_t raw;
  explicit RUSTTORCH_INLINE Mask(uint64x2_t value) : raw(value) {}
};
template <>
struct Mask<int32_t> {  // all bits of a lane set, or none
  uint32x4_t raw;
  explicit RUSTTORCH_INLINE Mask(uint32x4_t value) : raw(value) {}
};
template <>
struct Mask<int64_t> {  // all bits of a lane set, or none
  uint64x2_t raw;
  explicit RUSTTORCH_INLINE Mask(uint64x2_t value) : raw(value) {}
};

RUSTTORCH_INLINE uint32x4_t first_lanes_32(int64_t n) {
  const int32x4_t index = {0, 1, 2, 3};
  return vcltq_s32(index, vdupq_n_s32(int32_t(n)));
}
RUSTTORCH_INLINE uint64x2_t first_lanes_64(int64_t n) {
  const int64x2_t index = {0, 1};
  return vcltq_s64(index, vdupq_n_s64(n));
}

// There are no masked moves: partial vectors go through a copy in memory.
template <class T, int lanes>
struct Copy {
  T values[lanes];
  RUSTTORCH_INLINE Copy() {}
  RUSTTORCH_INLINE Copy(const T* p, int64_t n) : values{} {
    for (int64_t i = 0; i < n; ++i) values[i] = p[i];
  }
  RUSTTORCH_INLINE void move_to(T* p, int64_t n) const {
    for (int64_t i = 0; i < n; ++i) p[i] = values[i];
  }
};

RUSTTORCH_INLINE uint32x4_t round_bfloat16(float32x4_t value) {  // the result in the high half of each 32-bit lane
  const uint32x4_t word = vreinterpretq_u32_f32(value);
  const uint32x4_t kept_odd = vandq_u32(vshrq_n_u32(word, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(vaddq_u32(word, vdupq_n_u32(0x7fff)), kept_odd);
  return vbslq_u32(vceqq_f32(value, value), rounded, vdupq_n_u32(0x7fc00000));
}
RUSTTORCH_INLINE uint16x4_t narrow_bfloat16(float32x4_t value) { return vshrn_n_u32(round_bfloat16(value), 16); }

template <>
struct Vec<float> {
  static constexpr int lanes = 4;
  float32x4_t raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(float32x4_t value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(float value) : raw(vdupq_n_f32(value)) {}
  static RUSTTORCH_INLINE Vec load(const float* p) { return Vec(vld1q_f32(p)); }
  static RUSTTORCH_INLINE Vec load(const float* p, int64_t n) { return load(Copy<float, 4>(p, n).values); }
  static RUSTTORCH_INLINE Vec load(const bfloat16* p) {
    return Vec(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(&p->bits), 16)));
  }
  static RUSTTORCH_INLINE Vec load(const bfloat16* p, int64_t n) { return load(Copy<bfloat16, 4>(p, n).values); }
  // The even elements of memory go to `first`, the odd ones to `second`: a shift and a mask instead of shuffles.
  static RUSTTORCH_INLINE void load_pair(const bfloat16* p, Vec& first, Vec& second) {
    const uint32x4_t both = vreinterpretq_u32_u16(vld1q_u16(&p->bits));
    first = Vec(vreinterpretq_f32_u32(vshlq_n_u32(both, 16)));
    second = Vec(vreinterpretq_f32_u32(vandq_u32(both, vdupq_n_u32(0xffff0000))));
  }
  static RUSTTORCH_INLINE void store_pair(bfloat16* p, Vec first, Vec second) {
    const uint32x4_t both = vsriq_n_u32(round_bfloat16(second.raw), round_bfloat16(first.raw), 16);
    vst1q_u16(&p->bits, vreinterpretq_u16_u32(both));
  }
  static RUSTTORCH_INLINE Vec load(const float16* p) {
    return Vec(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits))));
  }
  static RUSTTORCH_INLINE Vec load(const float16* p, int64_t n) { return load(Copy<float16, 4>(p, n).values); }
  RUSTTORCH_INLINE void store(float* p) const { vst1q_f32(p, raw); }
  RUSTTORCH_INLINE void store(float* p, int64_t n) const {
    Copy<float, 4> copy;
    store(copy.values);
    copy.move_to(p, n);
  }
  RUSTTORCH_INLINE void store(bfloat16* p) const { vst1_u16(&p->bits, narrow_bfloat16(raw)); }
  RUSTTORCH_INLINE void store(bfloat16* p, int64_t n) const {
    Copy<bfloat16, 4> copy;
    store(copy.values);
    copy.move_to(p, n);
  }
  RUSTTORCH_INLINE void store(float16* p) const { vst1_u16(&p->bits, vreinterpret_u16_f16(vcvt_f16_f32(raw))); }
  RUSTTORCH_INLINE void store(float16* p, int64_t n) const {
    Copy<float16, 4> copy;
    store(copy.values);
    copy.move_to(p, n);
  }
};

template <>
struct Vec<double> {
  static constexpr int lanes = 2;
  float64x2_t raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(float64x2_t value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(double value) : raw(vdupq_n_f64(value)) {}
  static RUSTTORCH_INLINE Vec load(const double* p) { return Vec(vld1q_f64(p)); }
  static RUSTTORCH_INLINE Vec load(const double* p, int64_t n) { return load(Copy<double, 2>(p, n).values); }
  RUSTTORCH_INLINE void store(double* p) const { vst1q_f64(p, raw); }
  RUSTTORCH_INLINE void store(double* p, int64_t n) const {
    Copy<double, 2> copy;
    store(copy.values);
    copy.move_to(p, n);
  }
};

template <>
struct Vec<int32_t> {
  static constexpr int lanes = 4;
  int32x4_t raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(int32x4_t value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(int32_t value) : raw(vdupq_n_s32(value)) {}
  static RUSTTORCH_INLINE Vec load(const int32_t* p) { return Vec(vld1q_s32(p)); }
  static RUSTTORCH_INLINE Vec load(const int32_t* p, int64_t n) { return load(Copy<int32_t, 4>(p, n).values); }
  RUSTTORCH_INLINE void store(int32_t* p) const { vst1q_s32(p, raw); }
  RUSTTORCH_INLINE void store(int32_t* p, int64_t n) const {
    Copy<int32_t, 4> copy;
    store(copy.values);
    copy.move_to(p, n);
  }
};

template <>
struct Vec<int64_t> {
  static constexpr int lanes = 2;
  int64x2_t raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(int64x2_t value) : raw(value) {}
  explicit RUSTTORCH_INLINE Vec(int64_t value) : raw(vdupq_n_s64(value)) {}
  static RUSTTORCH_INLINE Vec load(const int64_t* p) { return Vec(vld1q_s64(p)); }
  static RUSTTORCH_INLINE Vec load(const int64_t* p, int64_t n) { return load(Copy<int64_t, 2>(p, n).values); }
  RUSTTORCH_INLINE void store(int64_t* p) const { vst1q_s64(p, raw); }
  RUSTTORCH_INLINE void store(int64_t* p, int64_t n) const {
    Copy<int64_t, 2> copy;
    store(copy.values);
    copy.move_to(p, n);
  }
};

RUSTTORCH_INLINE void transpose(Vec<float> (&rows)[4]) {
  const float32x4_t a = vtrn1q_f32(rows[0].raw, rows[1].raw), b = vtrn2q_f32(rows[0].raw, rows[1].raw);
  const float32x4_t c = vtrn1q_f32(rows[2].raw, rows[3].raw), d = vtrn2q_f32(rows[2].raw, rows[3].raw);
  rows[0].raw = vcombine_f32(vget_low_f32(a), vget_low_f32(c));
  rows[1].raw = vcombine_f32(vget_low_f32(b), vget_low_f32(d));
  rows[2].raw = vcombine_f32(vget_high_f32(a), vget_high_f32(c));
  rows[3].raw = vcombine_f32(vget_high_f32(b), vget_high_f32(d));
}
RUSTTORCH_INLINE void transpose(Vec<double> (&rows)[2]) {
  const float64x2_t a = vzip1q_f64(rows[0].raw, rows[1].raw), b = vzip2q_f64(rows[0].raw, rows[1].raw);
  rows[0].raw = a;
  rows[1].raw = b;
}

}  // namespace rusttorch::RUSTTORCH_ISA
