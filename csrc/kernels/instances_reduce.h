// The instances of the reductions: see instances_activations.h.
#pragma once
#include "reduce.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_KERNELS(T)                                                                                  \
  RUSTTORCH_INSTANCE void sum_rows<T>(double*, const void*, int64_t, int64_t, bool);                          \
  RUSTTORCH_INSTANCE void sum_columns<T>(double*, const void*, int64_t, int64_t, int64_t);                    \
  RUSTTORCH_INSTANCE double squares_row<T>(const void*, int64_t, double);                                     \
  RUSTTORCH_INSTANCE void squares_columns<T>(double*, const void*, int64_t, int64_t, int64_t, const double*); \
  RUSTTORCH_INSTANCE void deviation_rows<T>(double*, const void*, int64_t, int64_t);                          \
  RUSTTORCH_INSTANCE void deviation_columns<T>(double*, const void*, int64_t, int64_t, int64_t);              \
  RUSTTORCH_INSTANCE void sum_tiny<T, false>(double*, const void*, int64_t, int64_t, int64_t);                \
  RUSTTORCH_INSTANCE void sum_tiny<T, true>(double*, const void*, int64_t, int64_t, int64_t);
RUSTTORCH_KERNELS(float)
RUSTTORCH_KERNELS(double)
RUSTTORCH_KERNELS(bfloat16)
RUSTTORCH_KERNELS(float16)
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(T, Functor)                                                                           \
  RUSTTORCH_INSTANCE void extreme_rows<T, Functor>(void*, int64_t*, const void*, int64_t, int64_t, bool);       \
  RUSTTORCH_INSTANCE void extreme_columns<T, Functor>(void*, int64_t*, const void*, int64_t, int64_t, int64_t); \
  RUSTTORCH_INSTANCE void extreme_tiny<T, Functor>(void*, int64_t*, const void*, int64_t, int64_t, int64_t);
#define RUSTTORCH_ROW(name, Functor)   \
  RUSTTORCH_KERNELS(float, Functor)    \
  RUSTTORCH_KERNELS(double, Functor)   \
  RUSTTORCH_KERNELS(bfloat16, Functor) \
  RUSTTORCH_KERNELS(float16, Functor)
RUSTTORCH_EXTREMES(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(T)                                                                                          \
  RUSTTORCH_INSTANCE void count_equal<T>(int64_t*, const void*, const void*, int64_t, int64_t, bool);                 \
  RUSTTORCH_INSTANCE void share_equal<T>(void*, const void*, const void*, const void*, const void*, int64_t, int64_t, \
                                         bool);                                                                       \
  RUSTTORCH_INSTANCE void count_equal_columns<T>(void*, const void*, const void*, int64_t, int64_t, int64_t);         \
  RUSTTORCH_INSTANCE void share_equal_columns<T>(void*, const void*, const void*, const void*, const void*, int64_t,  \
                                                 int64_t, int64_t);
RUSTTORCH_KERNELS(float)
RUSTTORCH_KERNELS(double)
#undef RUSTTORCH_KERNELS

}  // namespace rusttorch::RUSTTORCH_ISA
