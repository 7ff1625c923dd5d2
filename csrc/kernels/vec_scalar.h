// Vec and Mask with one lane. The contract is in vec.h.
#pragma once
#include "vec.h"

namespace rusttorch::RUSTTORCH_ISA {

template <>
struct Mask<float> {
  bool raw;
  explicit RUSTTORCH_INLINE Mask(bool value) : raw(value) {}
};
template <>
struct Mask<double> {
  bool raw;
  explicit RUSTTORCH_INLINE Mask(bool value) : raw(value) {}
};
template <>
struct Mask<int32_t> {
  bool raw;
  explicit RUSTTORCH_INLINE Mask(bool value) : raw(value) {}
};
template <>
struct Mask<int64_t> {
  bool raw;
  explicit RUSTTORCH_INLINE Mask(bool value) : raw(value) {}
};

// Reduced precisions by integer arithmetic, since the compiler need not have such a type.

RUSTTORCH_INLINE float widen(bfloat16 value) { return std::bit_cast<float>(uint32_t(value.bits) << 16); }

RUSTTORCH_INLINE bfloat16 narrow_bfloat16(float value) {
  const uint32_t word = std::bit_cast<uint32_t>(value);
  if (value != value) return {uint16_t((word >> 16) | 0x40)};
  return {uint16_t((word + 0x7fff + ((word >> 16) & 1)) >> 16)};  // half up, one less when the kept part is even
}

// The exponent of a half, moved to a float's place, is 112 too small. Multiplying by 2^112 repairs it and normalises
// denormals on the way; infinity and NaN (exponent 31) get the float's exponent 255 instead.
RUSTTORCH_INLINE float widen(float16 value) {
  const uint32_t sign = uint32_t(value.bits & 0x8000) << 16, magnitude = uint32_t(value.bits & 0x7fff) << 13;
  if (magnitude >= 0x0f800000) {
    const uint32_t quiet = magnitude > 0x0f800000 ? 0x00400000 : 0;
    return std::bit_cast<float>(sign | 0x70000000 | magnitude | quiet);
  }
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f));
}

RUSTTORCH_INLINE float16 narrow_float16(float value) {
  const uint32_t word = std::bit_cast<uint32_t>(value), magnitude = word & 0x7fffffff;
  const uint16_t sign = uint16_t((word >> 16) & 0x8000);
  if (magnitude > 0x7f800000) return {uint16_t(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff))};
  if (magnitude >= 0x477ff000) return {uint16_t(sign | 0x7c00)};  // 65520 and above round to infinity
  if (magnitude < 0x38800000) {  // below 2^-14: adding 0.5 lines the last kept bit, 2^-24, up with the last of a float
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    return {uint16_t(sign | (std::bit_cast<uint32_t>(aligned) - 0x3f000000))};
  }
  return {uint16_t(sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13))};
}

template <>
struct Vec<float> {
  static constexpr int lanes = 1;
  float raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(float value) : raw(value) {}
  static RUSTTORCH_INLINE Vec load(const float* p) { return Vec(*p); }
  static RUSTTORCH_INLINE Vec load(const float* p, int64_t n) { return Vec(n > 0 ? *p : 0.0f); }
  static RUSTTORCH_INLINE Vec load(const bfloat16* p) { return Vec(widen(*p)); }
  static RUSTTORCH_INLINE Vec load(const bfloat16* p, int64_t n) { return Vec(n > 0 ? widen(*p) : 0.0f); }
  static RUSTTORCH_INLINE void load_pair(const bfloat16* p, Vec& first, Vec& second) {
    first = load(p);
    second = load(p + 1);
  }
  static RUSTTORCH_INLINE void store_pair(bfloat16* p, Vec first, Vec second) {
    first.store(p);
    second.store(p + 1);
  }
  static RUSTTORCH_INLINE Vec load(const float16* p) { return Vec(widen(*p)); }
  static RUSTTORCH_INLINE Vec load(const float16* p, int64_t n) { return Vec(n > 0 ? widen(*p) : 0.0f); }
  RUSTTORCH_INLINE void store(float* p) const { *p = raw; }
  RUSTTORCH_INLINE void store(float* p, int64_t n) const {
    if (n > 0) *p = raw;
  }
  RUSTTORCH_INLINE void store(bfloat16* p) const { *p = narrow_bfloat16(raw); }
  RUSTTORCH_INLINE void store(bfloat16* p, int64_t n) const {
    if (n > 0) *p = narrow_bfloat16(raw);
  }
  RUSTTORCH_INLINE void store(float16* p) const { *p = narrow_float16(raw); }
  RUSTTORCH_INLINE void store(float16* p, int64_t n) const {
    if (n > 0) *p = narrow_float16(raw);
  }
};

template <>
struct Vec<double> {
  static constexpr int lanes = 1;
  double raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(double value) : raw(value) {}
  static RUSTTORCH_INLINE Vec load(const double* p) { return Vec(*p); }
  static RUSTTORCH_INLINE Vec load(const double* p, int64_t n) { return Vec(n > 0 ? *p : 0.0); }
  RUSTTORCH_INLINE void store(double* p) const { *p = raw; }
  RUSTTORCH_INLINE void store(double* p, int64_t n) const {
    if (n > 0) *p = raw;
  }
};

template <>
struct Vec<int32_t> {
  static constexpr int lanes = 1;
  int32_t raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(int32_t value) : raw(value) {}
  static RUSTTORCH_INLINE Vec load(const int32_t* p) { return Vec(*p); }
  static RUSTTORCH_INLINE Vec load(const int32_t* p, int64_t n) { return Vec(n > 0 ? *p : 0); }
  RUSTTORCH_INLINE void store(int32_t* p) const { *p = raw; }
  RUSTTORCH_INLINE void store(int32_t* p, int64_t n) const {
    if (n > 0) *p = raw;
  }
};

template <>
struct Vec<int64_t> {
  static constexpr int lanes = 1;
  int64_t raw;
  Vec() = default;
  explicit RUSTTORCH_INLINE Vec(int64_t value) : raw(value) {}
  static RUSTTORCH_INLINE Vec load(const int64_t* p) { return Vec(*p); }
  static RUSTTORCH_INLINE Vec load(const int64_t* p, int64_t n) { return Vec(n > 0 ? *p : int64_t(0)); }
  RUSTTORCH_INLINE void store(int64_t* p) const { *p = raw; }
  RUSTTORCH_INLINE void store(int64_t* p, int64_t n) const {
    if (n > 0) *p = raw;
  }
};

// With one lane the four types differ by nothing but C++'s own operators, so this file can afford templates. Integers
// are computed unsigned, where overflow wraps.

template <class T>
RUSTTORCH_INLINE auto wrap(T value) {
  if constexpr (std::is_integral_v<T>) return std::make_unsigned_t<T>(value);
  else return value;
}
template <class T>
RUSTTORCH_INLINE Vec<T> operator+(Vec<T> a, Vec<T> b) {
  return Vec<T>(T(wrap(a.raw) + wrap(b.raw)));
}
template <class T>
RUSTTORCH_INLINE Vec<T> operator-(Vec<T> a, Vec<T> b) {
  return Vec<T>(T(wrap(a.raw) - wrap(b.raw)));
}
template <class T>
RUSTTORCH_INLINE Vec<T> operator*(Vec<T> a, Vec<T> b) {
  return Vec<T>(T(wrap(a.raw) * wrap(b.raw)));
}
template <class T, class = std::enable_if_t<std::is_floating_point_v<T>>>
RUSTTORCH_INLINE Vec<T> operator/(Vec<T> a, Vec<T> b) {
  return Vec<T>(a.raw / b.raw);
}
template <class T>
RUSTTORCH_INLINE Vec<T> operator-(Vec<T> a) {
  return Vec<T>(T(-wrap(a.raw)));
}

RUSTTORCH_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(std::fma(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(std::fma(a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(std::fma(-a.raw, b.raw, c.raw));
}
RUSTTORCH_INLINE Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(std::fma(-a.raw, b.raw, c.raw));
}

template <class T>
RUSTTORCH_INLINE Vec<T> sqrt(Vec<T> v) {
  return Vec<T>(std::sqrt(v.raw));
}
template <class T>
RUSTTORCH_INLINE Vec<T> abs(Vec<T> v) {
  if constexpr (std::is_integral_v<T>) return v.raw < 0 ? -v : v;
  else return Vec<T>(std::fabs(v.raw));
}
template <class T>
RUSTTORCH_INLINE Vec<T> copysign(Vec<T> magnitude, Vec<T> sign) {
  return Vec<T>(std::copysign(magnitude.raw, sign.raw));
}
template <class T>
RUSTTORCH_INLINE Vec<T> round(Vec<T> v) {
  return Vec<T>(std::nearbyint(v.raw));
}
template <class T>
RUSTTORCH_INLINE Vec<T> floor(Vec<T> v) {
  return Vec<T>(std::floor(v.raw));
}
template <class T>
RUSTTORCH_INLINE Vec<T> trunc(Vec<T> v) {
  return Vec<T>(std::trunc(v.raw));
}

template <class T>
RUSTTORCH_INLINE Vec<T> min_number(Vec<T> a, Vec<T> b) {
  return a.raw < b.raw ? a : b;
}
template <class T>
RUSTTORCH_INLINE Vec<T> max_number(Vec<T> a, Vec<T> b) {
  return a.raw > b.raw ? a : b;
}
template <class T>
RUSTTORCH_INLINE Vec<T> minimum(Vec<T> a, Vec<T> b) {
  return a.raw != a.raw || a.raw < b.raw ? a : b;
}
template <class T>
RUSTTORCH_INLINE Vec<T> maximum(Vec<T> a, Vec<T> b) {
  return a.raw != a.raw || a.raw > b.raw ? a : b;
}

template <class T>
RUSTTORCH_INLINE Mask<T> operator<(Vec<T> a, Vec<T> b) {
  return Mask<T>(a.raw < b.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> operator<=(Vec<T> a, Vec<T> b) {
  return Mask<T>(a.raw <= b.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> operator>(Vec<T> a, Vec<T> b) {
  return Mask<T>(a.raw > b.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> operator>=(Vec<T> a, Vec<T> b) {
  return Mask<T>(a.raw >= b.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> operator==(Vec<T> a, Vec<T> b) {
  return Mask<T>(a.raw == b.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> operator!=(Vec<T> a, Vec<T> b) {
  return Mask<T>(a.raw != b.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> operator&(Mask<T> a, Mask<T> b) {
  return Mask<T>(a.raw & b.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> operator|(Mask<T> a, Mask<T> b) {
  return Mask<T>(a.raw | b.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> operator^(Mask<T> a, Mask<T> b) {
  return Mask<T>(a.raw ^ b.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> operator~(Mask<T> a) {
  return Mask<T>(!a.raw);
}
template <class T>
RUSTTORCH_INLINE Mask<T> is_nan(Vec<T> v) {
  return v != v;
}
template <class T>
RUSTTORCH_INLINE Mask<T> either_is_nan(Vec<T> a, Vec<T> b) {
  return is_nan(a) | is_nan(b);
}
template <class T>
RUSTTORCH_INLINE Vec<T> select(Mask<T> mask, Vec<T> yes, Vec<T> no) {
  return mask.raw ? yes : no;
}
template <class T>
RUSTTORCH_INLINE bool any(Mask<T> mask) {
  return mask.raw;
}
template <class T>
RUSTTORCH_INLINE bool all(Mask<T> mask) {
  return mask.raw;
}
template <class T>
RUSTTORCH_INLINE int first_set(Mask<T>) {
  return 0;
}
template <class T>
RUSTTORCH_INLINE Mask<T> first_lanes(int64_t n) {
  return Mask<T>(n > 0);
}

template <class T>
RUSTTORCH_INLINE Vec<T> operator&(Vec<T> a, Vec<T> b) {
  return Vec<T>(a.raw & b.raw);
}
template <class T>
RUSTTORCH_INLINE Vec<T> operator|(Vec<T> a, Vec<T> b) {
  return Vec<T>(a.raw | b.raw);
}
template <class T>
RUSTTORCH_INLINE Vec<T> operator^(Vec<T> a, Vec<T> b) {
  return Vec<T>(a.raw ^ b.raw);
}
template <class T>
RUSTTORCH_INLINE Vec<T> operator~(Vec<T> a) {
  return Vec<T>(~a.raw);
}
template <int k, class T>
RUSTTORCH_INLINE Vec<T> shift_left(Vec<T> v) {
  return Vec<T>(T(wrap(v.raw) << k));
}
template <int k, class T>
RUSTTORCH_INLINE Vec<T> shift_right(Vec<T> v) {
  return Vec<T>(T(wrap(v.raw) >> k));
}
template <int k, class T>
RUSTTORCH_INLINE Vec<T> shift_right_arithmetic(Vec<T> v) {
  return Vec<T>(T(v.raw >> k));
}

RUSTTORCH_INLINE Vec<int32_t> bits(Vec<float> v) { return Vec<int32_t>(std::bit_cast<int32_t>(v.raw)); }
RUSTTORCH_INLINE Vec<int64_t> bits(Vec<double> v) { return Vec<int64_t>(std::bit_cast<int64_t>(v.raw)); }
RUSTTORCH_INLINE Vec<float> from_bits(Vec<int32_t> v) { return Vec<float>(std::bit_cast<float>(v.raw)); }
RUSTTORCH_INLINE Vec<double> from_bits(Vec<int64_t> v) { return Vec<double>(std::bit_cast<double>(v.raw)); }
RUSTTORCH_INLINE Vec<int32_t> to_int(Vec<float> v) {  // out of range and NaN: the smallest integer, as x86 does
  return Vec<int32_t>(std::fabs(v.raw) < 0x1p31f ? int32_t(std::nearbyint(v.raw)) : INT32_MIN);
}
RUSTTORCH_INLINE Vec<int64_t> to_int(Vec<double> v) {
  return Vec<int64_t>(std::fabs(v.raw) < 0x1p63 ? int64_t(std::nearbyint(v.raw)) : INT64_MIN);
}
RUSTTORCH_INLINE Vec<float> to_float(Vec<int32_t> v) { return Vec<float>(float(v.raw)); }
RUSTTORCH_INLINE Vec<double> to_double(Vec<int64_t> v) { return Vec<double>(double(v.raw)); }
RUSTTORCH_INLINE void to_doubles(Vec<float> v, Vec<double> (&out)[1]) { out[0] = Vec<double>(double(v.raw)); }
RUSTTORCH_INLINE void to_doubles(Vec<double> v, Vec<double> (&out)[1]) { out[0] = v; }
RUSTTORCH_INLINE Vec<float> scale(Vec<float> v, Vec<float> n) { return scale_in_steps(v, n); }
RUSTTORCH_INLINE Vec<double> scale(Vec<double> v, Vec<double> n) { return scale_in_steps(v, n); }
RUSTTORCH_INLINE Vec<int32_t> divide_trunc(Vec<int32_t> a, Vec<int32_t> b) {
  return Vec<int32_t>(b.raw == 0 ? 0 : int32_t(int64_t(a.raw) / b.raw));
}
RUSTTORCH_INLINE Vec<int32_t> divide_floor(Vec<int32_t> a, Vec<int32_t> b) {
  if (b.raw == 0) return Vec<int32_t>(0);
  const int64_t quotient = int64_t(a.raw) / b.raw, remainder = int64_t(a.raw) % b.raw;
  return Vec<int32_t>(int32_t(quotient - (remainder != 0 && (remainder < 0) != (b.raw < 0))));
}
inline constexpr bool kPermutesTables = true;
RUSTTORCH_INLINE Vec<float> gather_table16(const float* table, Vec<int32_t> index) {
  return Vec<float>(table[index.raw & 15]);
}
RUSTTORCH_INLINE void multiply_wide(Vec<int32_t> a, Vec<int32_t> b, Vec<int32_t>& low, Vec<int32_t>& high) {
  const uint64_t product = uint64_t(uint32_t(a.raw)) * uint32_t(b.raw);
  low = Vec<int32_t>(int32_t(product));
  high = Vec<int32_t>(int32_t(product >> 32));
}
RUSTTORCH_INLINE void store_bytes(Mask<int32_t> mask, uint8_t* p) { *p = mask.raw; }
template <class T>
RUSTTORCH_INLINE Mask<T> load_bytes(const uint8_t* p) {
  return Mask<T>(*p != 0);
}

template <class T>
RUSTTORCH_INLINE T reduce_add(Vec<T> v) {
  return v.raw;
}
template <class T>
RUSTTORCH_INLINE T reduce_max(Vec<T> v) {
  return v.raw;
}
template <class T>
RUSTTORCH_INLINE T reduce_max_number(Vec<T> v) {
  return v.raw;
}

RUSTTORCH_INLINE void transpose(Vec<float> (&)[1]) {}
RUSTTORCH_INLINE void transpose(Vec<double> (&)[1]) {}

}  // namespace rusttorch::RUSTTORCH_ISA
