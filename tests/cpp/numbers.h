// Arrays of any of the six dtypes, written and read as double (float, halves, int32) or int64: for tests that go through the
// kernel table and so see void pointers only.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "table.h"

namespace rusttorch::test {

inline constexpr const char* kDtypeNames[kDtypes] = {"float32", "float64", "bfloat16", "float16", "int32", "int64"};
inline constexpr int kDtypeSizes[kDtypes] = {4, 8, 2, 2, 4, 8};
inline bool is_integer(int dtype) { return dtype >= kFloatingDtypes; }
inline bool is_reduced(int dtype) { return dtype == kBFloat16 || dtype == kFloat16; }

// Nearest bfloat16 or float16, ties to even, from the definition of the formats; the value as a double.
inline double round_to_half(double value, int dtype) {
  const int mantissa = dtype == kBFloat16 ? 7 : 10, smallest = dtype == kBFloat16 ? -126 : -14;
  if (!std::isfinite(value) || value == 0) return value;
  int exponent = std::ilogb(value);
  if (exponent < smallest) exponent = smallest;
  const double unit = std::ldexp(1.0, exponent - mantissa), result = std::nearbyint(value / unit) * unit;
  const double largest = dtype == kBFloat16 ? 0x1.fep127 : 65504;
  return std::copysign(std::fabs(result) > largest ? HUGE_VAL : std::fabs(result), value);
}

// What the dtype makes of a value: rounded, or cut to an integer that must fit.
inline double round_to(double value, int dtype) {
  switch (dtype) {
    case kFloat32: return float(value);
    case kFloat64: return value;
    case kBFloat16:
    case kFloat16: return round_to_half(value, dtype);
    default: return std::trunc(value);
  }
}

// Memory for n elements with a guard of 64 bytes on either side, starting `offset` elements after alignment.
class Array {
 public:
  Array(int dtype, int64_t n, int offset = 1) : dtype_(dtype), n_(n), start_(64 + offset * kDtypeSizes[dtype]) {
    memory_.assign(start_ + n * kDtypeSizes[dtype] + 64, char(0xa5));
  }
  void* data() { return memory_.data() + start_; }
  const void* data() const { return memory_.data() + start_; }
  bool guards_intact() const {
    for (int64_t i = 0; i < int64_t(memory_.size()); ++i) {
      const bool inside = i >= start_ && i < start_ + n_ * kDtypeSizes[dtype_];
      if (!inside && memory_[i] != char(0xa5)) return false;
    }
    return true;
  }

  void set(int64_t i, double value) {
    switch (dtype_) {
      case kFloat32: put(i, float(value)); break;
      case kFloat64: put(i, value); break;
      case kBFloat16: put(i, uint16_t(std::bit_cast<uint32_t>(float(round_to_half(value, kBFloat16))) >> 16)); break;
      case kFloat16: put(i, float16_bits(value)); break;
      case kInt32: put(i, int32_t(value)); break;
      default: put(i, int64_t(value));
    }
  }
  void set_integer(int64_t i, int64_t value) { dtype_ == kInt32 ? put(i, int32_t(value)) : put(i, value); }
  double get(int64_t i) const {
    switch (dtype_) {
      case kFloat32: return read<float>(i);
      case kFloat64: return read<double>(i);
      case kBFloat16: return std::bit_cast<float>(uint32_t(read<uint16_t>(i)) << 16);
      case kFloat16: return float16_value(read<uint16_t>(i));
      case kInt32: return read<int32_t>(i);
      default: return double(read<int64_t>(i));
    }
  }
  int64_t get_integer(int64_t i) const { return dtype_ == kInt32 ? read<int32_t>(i) : read<int64_t>(i); }

 private:
  template <class T>
  void put(int64_t i, T value) {
    std::memcpy(static_cast<char*>(data()) + i * sizeof(T), &value, sizeof(T));
  }
  template <class T>
  T read(int64_t i) const {
    T value;
    std::memcpy(&value, static_cast<const char*>(data()) + i * sizeof(T), sizeof(T));
    return value;
  }
  static uint16_t float16_bits(double value) {
    const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double magnitude = std::fabs(round_to_half(value, kFloat16));
    if (magnitude != magnitude) return 0x7e00;
    if (std::isinf(magnitude)) return sign | 0x7c00;
    if (magnitude < 0x1p-14) return sign | uint16_t(magnitude * 0x1p24);
    const int exponent = std::ilogb(magnitude);
    return sign | uint16_t((exponent + 15) << 10) | (uint16_t(std::ldexp(magnitude, 10 - exponent)) & 1023);
  }
  static double float16_value(uint16_t bits) {
    const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
    double magnitude = std::ldexp(exponent ? 1024 + mantissa : mantissa, (exponent ? exponent : 1) - 25);
    if (exponent == 31) magnitude = mantissa ? NAN : HUGE_VAL;
    return bits & 0x8000 ? -magnitude : magnitude;
  }

  int dtype_;
  int64_t n_, start_;
  std::vector<char> memory_;
};

// Equal, any NaN for a NaN, and the same sign of zero.
inline bool same_value(double a, double b) {
  if (a != a || b != b) return a != a && b != b;
  return a == b && std::signbit(a) == std::signbit(b);
}

}  // namespace rusttorch::test
