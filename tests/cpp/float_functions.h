// The float32 functions under test, once: for the sampled tests, the exhaustive sweep, and every ISA.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "types.h"

// X(name, expression in x, ULP). `ULP` is the largest error over all 2^32 inputs that the comment of the function
// promises; float_references.h has the exact function of the same name. Gradients are taken with one = grad_output = 1.
#define RUSTTORCH_FLOAT_FUNCTIONS(X)                                        \
  X(exp, exp(x), 1.0)                                                       \
  X(expm1, expm1(x), 1.0)                                                   \
  X(log, log(x), 1.0)                                                       \
  X(log1p, log1p(x), 1.0)                                                   \
  X(tanh, tanh(x), 1.0)                                                     \
  X(erf, erf(x), 1.0)                                                       \
  X(sigmoid, sigmoid(x), 2.0)                                               \
  X(elu, Elu<V>(kEluDefault).forward(x), 1.0)                               \
  X(selu, Elu<V>(kSelu).forward(x), 2.0)                                    \
  X(gelu_erf, GeluErf<V>(kNone).forward(x), 4.0)                            \
  X(gelu_tanh, GeluTanh<V>(kNone).forward(x), 4.0)                          \
  X(softplus, Softplus<V>(kSoftplusDefault).forward(x), 2.0)                \
  X(softsign, Softsign<V>(kNone).forward(x), 1.5)                           \
  X(silu, Silu<V>(kNone).forward(x), 4.0)                                   \
  X(mish, Mish<V>(kNone).forward(x), 4.0)                                   \
  X(elu_backward, Elu<V>(kEluDefault).backward(one, x), 2.0)                \
  X(selu_backward, Elu<V>(kSelu).backward(one, x), 3.0)                     \
  X(gelu_erf_backward, GeluErf<V>(kNone).backward(one, x), 4.0)             \
  X(gelu_tanh_backward, GeluTanh<V>(kNone).backward(one, x), 6.0)           \
  X(softplus_backward, Softplus<V>(kSoftplusDefault).backward(one, x), 2.0) \
  X(softsign_backward, Softsign<V>(kNone).backward(one, x), 4.0)            \
  X(silu_backward, Silu<V>(kNone).backward(one, x), 6.0)                    \
  X(mish_backward, Mish<V>(kNone).backward(one, x), 6.0)

namespace rusttorch::test {

inline constexpr Parameters kNone{}, kEluDefault{1, 1, 1}, kSoftplusDefault{1, 20};
inline constexpr Parameters kSelu{1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1};

using FloatFunction = void (*)(float* out, const float* in, int64_t n);  // n: any

// The functions of one ISA, in the order of the list. Each is defined by float_functions_<isa>.cpp where it compiles.
const FloatFunction* float_functions_scalar();
const FloatFunction* float_functions_avx2();
const FloatFunction* float_functions_avx512();
const FloatFunction* float_functions_neon();

inline const FloatFunction* float_functions(const std::string& isa) {
  if (isa == "scalar") return float_functions_scalar();
#if defined(__x86_64__)
  if (isa == "avx2") return float_functions_avx2();
  if (isa == "avx512") return float_functions_avx512();
#elif defined(__aarch64__)
  if (isa == "neon") return float_functions_neon();
#endif
  return nullptr;
}

}  // namespace rusttorch::test
