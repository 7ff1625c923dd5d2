// Values, references and distances for the softmax tests.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "table.h"

namespace rusttorch::test {

inline double widen(float value) { return value; }
inline double widen(double value) { return value; }
inline double widen(bfloat16 value) { return std::bit_cast<float>(uint32_t(value.bits) << 16); }
inline double widen(float16 value) {
  const int exponent = (value.bits >> 10) & 31, mantissa = value.bits & 1023;
  double magnitude = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
  if (exponent == 31) magnitude = mantissa ? NAN : INFINITY;
  return value.bits & 0x8000 ? -magnitude : magnitude;
}

// The distance between neighbours of type T around `value`.
template <class T>
double spacing(double value) {
  constexpr bool is_double = std::is_same_v<T, double>, is_half = std::is_same_v<T, float16>;
  const int digits = is_double ? 53 : std::is_same_v<T, float> ? 24 : is_half ? 11 : 8;
  const int lowest = is_double ? -1074 : std::is_same_v<T, float> ? -149 : is_half ? -24 : -133;
  int exponent = 0;
  std::frexp(value, &exponent);
  return std::ldexp(1.0, value == 0 ? lowest : std::max(exponent - digits, lowest));
}
template <class T>
double rounded_to(double value) {  // to nearest, ties to even
  if (!std::isfinite(value)) return value;
  const double unit = spacing<T>(value);
  return std::nearbyint(value / unit) * unit;
}

// Uniform in [-spread, spread), exactly representable in T.
template <class T>
T random_value(std::mt19937& random, double spread) {
  const double value = (double(random()) / 4294967296.0 * 2 - 1) * spread;
  if constexpr (std::is_same_v<T, bfloat16>) {
    return {uint16_t(std::bit_cast<uint32_t>(float(value)) >> 16)};
  } else if constexpr (std::is_same_v<T, float16>) {
    int exponent = 0;
    std::frexp(value, &exponent);
    if (exponent < -13) return {0};
    const int mantissa = int(std::ldexp(std::fabs(value), 11 - exponent));
    return {uint16_t((value < 0 ? 0x8000 : 0) | (exponent + 14) << 10 | (mantissa & 1023))};
  } else {
    return T(value);
  }
}
template <class T>
std::vector<T> random_values(int64_t n, double spread, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<T> values(n);
  for (T& value : values) value = random_value<T>(random, spread);
  return values;
}

template <class T>
std::vector<T> transposed(const std::vector<T>& in, int64_t rows, int64_t columns) {
  std::vector<T> out(in.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) out[c * rows + r] = in[r * columns + c];
  return out;
}

// Bits that differ, NaNs counting as equal.
template <class T>
int64_t count_different(const std::vector<T>& a, const std::vector<T>& b) {
  int64_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(widen(a[i])) && std::isnan(widen(b[i]))) continue;
    count += std::memcmp(&a[i], &b[i], sizeof(T)) != 0;
  }
  return count;
}

// What references are computed in. long double has 64 bits of mantissa on x86-64, 113 (slow ones) on aarch64.
template <class T>
using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;

template <class T>
std::vector<Real<T>> softmax_reference(const T* in, int64_t size, bool is_log) {
  using R = Real<T>;
  R max = -INFINITY, sum = 0;
  for (int64_t i = 0; i < size; ++i) max = std::max(max, R(widen(in[i])));
  std::vector<R> out(size);
  for (int64_t i = 0; i < size; ++i) sum += std::exp(R(widen(in[i])) - max);
  for (int64_t i = 0; i < size; ++i) {
    const R x = R(widen(in[i])) - max;
    out[i] = is_log ? x - std::log(sum) : std::exp(x) / sum;
  }
  return out;
}

}  // namespace rusttorch::test
