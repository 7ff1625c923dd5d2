// The instances of the softmax family: see instances_activations.h.
#pragma once
#include "softmax.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_KERNELS(T, Functor)                                                                             \
  RUSTTORCH_INSTANCE void softmax_rows<T, Functor>(void*, const void*, int64_t, int64_t);                         \
  RUSTTORCH_INSTANCE void softmax_rows_backward<T, Functor>(void*, const void*, const void*, int64_t, int64_t);   \
  RUSTTORCH_INSTANCE void softmax_columns<T, Functor>(void*, const void*, int64_t, int64_t, int64_t);             \
  RUSTTORCH_INSTANCE void softmax_columns_backward<T, Functor>(void*, const void*, const void*, int64_t, int64_t, \
                                                               int64_t);
#define RUSTTORCH_ROW(name, Functor)   \
  RUSTTORCH_KERNELS(float, Functor)    \
  RUSTTORCH_KERNELS(double, Functor)   \
  RUSTTORCH_KERNELS(bfloat16, Functor) \
  RUSTTORCH_KERNELS(float16, Functor)
RUSTTORCH_SOFTMAX(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

}  // namespace rusttorch::RUSTTORCH_ISA
