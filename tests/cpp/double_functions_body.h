// Included inside a target region: defines the loops over the functions of double_functions.h for that ISA.
#pragma once
#include "double_functions.h"
#include "math_double.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_ROW(name, expression, reference, ulp, lowest, highest)     \
  inline void double_loop_##name(double* out, const double* in, int64_t n) { \
    constexpr int lanes = Vec<double>::lanes;                                \
    for (int64_t i = 0; i < n; i += lanes) {                                 \
      const int64_t count = n - i < lanes ? n - i : lanes;                   \
      const Vec<double> x = Vec<double>::load(in + i, count);                \
      (expression).store(out + i, count);                                    \
    }                                                                        \
  }
RUSTTORCH_DOUBLE_FUNCTIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW

inline const test::DoubleFunction* double_function_table() {
#define RUSTTORCH_ROW(name, expression, reference, ulp, lowest, highest) double_loop_##name,
  static constexpr test::DoubleFunction table[] = {RUSTTORCH_DOUBLE_FUNCTIONS(RUSTTORCH_ROW)};
#undef RUSTTORCH_ROW
  return table;
}

}  // namespace rusttorch::RUSTTORCH_ISA
