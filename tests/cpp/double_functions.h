// The float64 functions under test, for every ISA.
#pragma once
#include <cstdint>
#include <string>

#include "types.h"

// X(name, expression in x, reference in x as long double, ULP, lowest, highest). ULP is what the comment of the
// function promises; samples are uniform in [lowest, highest] and, in magnitude, down to 1e-18 of it.
#define RUSTTORCH_DOUBLE_FUNCTIONS(X)                                            \
  X(exp, exp(x), std::exp(x), 0.9, -708, 709.7)                                  \
  X(exp_small, exp(x), std::exp(x), 0.9, -1, 1)                                  \
  X(exp_denormal, exp(x), std::exp(x), 1.1, -745.1, -708)                        \
  X(exp_shifted, exp_shifted<64>(x), std::ldexp(std::exp(x), 64), 0.9, -751, 0)  \
  X(log, log(x), std::log(x), 0.9, 0, 1e6)                                       \
  X(log_near_1, log(x), std::log(x), 0.9, 0.5, 2)                                \
  X(log_denormal, log(x), std::log(x), 0.9, 0, 1e-307)                           \
  X(log1p, log1p(x), std::log1p(x), 0.9, -0.9999, 3)                             \
  X(log1p_large, log1p(x), std::log1p(x), 0.9, 0, 1e18)                          \
  X(expm1, expm1(x), std::expm1(x), 1.3, -3, 3)                                  \
  X(expm1_large, expm1(x), std::expm1(x), 1.3, -60, 709.7)                       \
  X(tanh, tanh(x), std::tanh(x), 1.6, -1, 1)                                     \
  X(tanh_large, tanh(x), std::tanh(x), 1.6, -25, 25)                             \
  X(erf, erf(x), std::erf(x), 1.6, -1.5, 1.5)                                    \
  X(erf_large, erf(x), std::erf(x), 1.6, -7, 7)                                  \
  X(normal_cdf, normal_cdf(x), std::erfc(-x* kSqrtHalf) / 2, 5.0, -3, 9)         \
  X(normal_cdf_tail, normal_cdf(x), std::erfc(-x* kSqrtHalf) / 2, 5.0, -37.5, 0) \
  X(sigmoid, sigmoid(x), 1 / (1 + std::exp(-x)), 1.6, -5, 5)                     \
  X(sigmoid_large, sigmoid(x), 1 / (1 + std::exp(-x)), 1.6, -708, 40)

namespace rusttorch::test {

using DoubleFunction = void (*)(double* out, const double* in, int64_t n);  // n: any

// The functions of one ISA, in the order of the list. Each is defined by double_functions_<isa>.cpp where it compiles.
const DoubleFunction* double_functions_scalar();
const DoubleFunction* double_functions_avx2();
const DoubleFunction* double_functions_avx512();
const DoubleFunction* double_functions_neon();

inline const DoubleFunction* double_functions(const std::string& isa) {
  if (isa == "scalar") return double_functions_scalar();
#if defined(__x86_64__)
  if (isa == "avx2") return double_functions_avx2();
  if (isa == "avx512") return double_functions_avx512();
#elif defined(__aarch64__)
  if (isa == "neon") return double_functions_neon();
#endif
  return nullptr;
}

}  // namespace rusttorch::test
