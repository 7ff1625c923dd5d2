// The exact functions behind float_functions.h, in double: accurate to about 1e-15 relative wherever a float result is
// normal. `size` is what an error is measured against: the result, or the larger summand where two of them cancel.
#pragma once
#include <bit>
#include <cmath>

#include "float_functions.h"

namespace rusttorch::test {

struct Exact {
  double value, size;
};

namespace reference {

inline Exact of(double value) { return {value, std::fabs(value)}; }
inline Exact sum(double a, double b) {
  return {a + b, std::fmax(std::fabs(a + b), std::fmax(std::fabs(a), std::fabs(b)))};
}

inline double normal_cdf(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }
inline double normal_density(double x) { return 0.39894228040143267794 * std::exp(-0.5 * x * x); }
inline double logistic(double x) {  // without overflow
  const double e = std::exp(-std::fabs(x));
  return (x < 0 ? e : 1) / (1 + e);
}
inline double gelu_tanh_argument(double x) { return 1.5957691216057307117 * (x + 0.044715 * x * x * x); }  // 2u

inline Exact exp(double x) { return of(std::exp(x)); }
inline Exact expm1(double x) { return of(std::expm1(x)); }
inline Exact log(double x) { return of(std::log(x)); }
inline Exact log1p(double x) { return of(std::log1p(x)); }
inline Exact tanh(double x) { return of(std::tanh(x)); }
inline Exact erf(double x) { return of(std::erf(x)); }
inline Exact sigmoid(double x) { return of(logistic(x)); }
inline Exact elu(double x) { return of(x > 0 ? x : std::expm1(x)); }
inline Exact selu(double x) { return of(kSelu.b * (x > 0 ? x : kSelu.a * std::expm1(x))); }
inline Exact gelu_erf(double x) { return of(x * normal_cdf(x)); }
inline Exact gelu_tanh(double x) { return of(x * logistic(gelu_tanh_argument(x))); }
inline Exact softplus(double x) { return of(x > 20 ? x : std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)))); }
inline Exact softsign(double x) { return of(x / (1 + std::fabs(x))); }
inline Exact silu(double x) { return of(x * logistic(x)); }
inline Exact mish(double x) {
  if (x > 20) return of(x);  // tanh(log(1 + e^20)) = 1 - 8e-18
  const double e = std::exp(x), n = e * (e + 2);
  return of(x * (n / (n + 2)));
}

inline Exact elu_backward(double x) { return of(x > 0 ? 1 : std::exp(x)); }
inline Exact selu_backward(double x) { return of(kSelu.b * (x > 0 ? 1 : kSelu.a * std::exp(x))); }
inline Exact gelu_erf_backward(double x) { return sum(normal_cdf(x), x * normal_density(x)); }
inline Exact gelu_tanh_backward(double x) {
  const double s = logistic(gelu_tanh_argument(x)), other = logistic(-gelu_tanh_argument(x));
  if (std::fabs(x) > 1e6) return of(x - x + s);
  return sum(s, x * s * other * 1.5957691216057307117 * (1 + 3 * 0.044715 * x * x));
}
inline Exact softplus_backward(double x) { return of(x > 20 ? 1 : logistic(x)); }
inline Exact softsign_backward(double x) {
  const double inverse = 1 / (1 + std::fabs(x) + 0 * x);
  return of(inverse * inverse);
}
inline Exact silu_backward(double x) { return sum(logistic(x), x * logistic(x) * logistic(-x)); }
inline Exact mish_backward(double x) {
  if (x > 40) return of(x - x + 1);
  const double e = std::exp(x), n = e * (e + 2);
  return sum(n / (n + 2), 4 * x * e * (1 + e) / ((n + 2) * (n + 2)));
}

}  // namespace reference

struct FloatRow {
  const char* name;
  double ulp;
  Exact (*exact)(double);
};
inline constexpr FloatRow kFloatRows[] = {
#define RUSTTORCH_ROW(name, expression, ulp) {#name, ulp, reference::name},
    RUSTTORCH_FLOAT_FUNCTIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
};

// |got - exact| in units in the last place of a float of magnitude `size`; an infinite float counts as 2^128, where the
// next exponent would begin. Infinite when one of them is NaN and the other is not.
inline double ulp_error(float got, Exact exact) {
  constexpr double overflow = 0x1p128;
  if (std::isnan(exact.value) || std::isnan(got)) return std::isnan(exact.value) && std::isnan(got) ? 0 : INFINITY;
  const double size = std::fmin(std::fmax(exact.size, 0x1p-126), 0x1p127);
  const double unit = std::bit_cast<double>(std::bit_cast<uint64_t>(size) & 0x7ff0000000000000) * 0x1p-23;
  const double value = std::fmin(std::fmax(exact.value, -overflow), overflow);
  return std::fabs(std::fmin(std::fmax(double(got), -overflow), overflow) - value) / unit;
}

}  // namespace rusttorch::test
