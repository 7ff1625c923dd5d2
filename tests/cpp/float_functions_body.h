// Included inside a target region: defines the loops over the functions of float_functions.h for that ISA.
#pragma once
#include "activations.h"
#include "float_functions.h"
#include "math_float.h"

namespace rusttorch::RUSTTORCH_ISA {

using V = Vec<float>;
using test::kEluDefault, test::kNone, test::kSelu, test::kSoftplusDefault;

#define RUSTTORCH_ROW(name, expression, ulp)                                    \
  inline void loop_##name(float* out, const float* in, int64_t n) {             \
    [[maybe_unused]] const V one(1.0f);                                         \
    for (int64_t i = 0; i < n; i += V::lanes) {                                 \
      const int64_t count = n - i < V::lanes ? n - i : V::lanes;                \
      const V x = count == V::lanes ? V::load(in + i) : V::load(in + i, count); \
      const V result = expression;                                              \
      if (count == V::lanes) result.store(out + i);                             \
      else result.store(out + i, count);                                        \
    }                                                                           \
  }
RUSTTORCH_FLOAT_FUNCTIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW

inline const test::FloatFunction* float_function_table() {
#define RUSTTORCH_ROW(name, expression, ulp) loop_##name,
  static constexpr test::FloatFunction table[] = {RUSTTORCH_FLOAT_FUNCTIONS(RUSTTORCH_ROW)};
#undef RUSTTORCH_ROW
  return table;
}

}  // namespace rusttorch::RUSTTORCH_ISA
