// The instances of the arithmetic: see instances_activations.h.
#pragma once
#include "arithmetic.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_KERNEL(T, Functor)                                                                   \
  RUSTTORCH_INSTANCE void map2<T, Functor>(void*, const void*, const void*, int64_t, int64_t, int64_t, \
                                           const Parameters&);
#define RUSTTORCH_ROW(name, Functor)  \
  RUSTTORCH_KERNEL(float, Functor)    \
  RUSTTORCH_KERNEL(double, Functor)   \
  RUSTTORCH_KERNEL(bfloat16, Functor) \
  RUSTTORCH_KERNEL(float16, Functor)
RUSTTORCH_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#define RUSTTORCH_ROW(name, Functor) \
  RUSTTORCH_KERNEL(int32_t, Functor) \
  RUSTTORCH_KERNEL(int64_t, Functor)
RUSTTORCH_INTEGER_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNEL

#define RUSTTORCH_KERNEL(T)                                                                                         \
  RUSTTORCH_INSTANCE void map3<T, FusedMultiplyAdd>(void*, const void*, const void*, const void*, int64_t, int64_t, \
                                                    int64_t, int64_t);
RUSTTORCH_KERNEL(float)
RUSTTORCH_KERNEL(double)
RUSTTORCH_KERNEL(bfloat16)
RUSTTORCH_KERNEL(float16)
RUSTTORCH_KERNEL(int32_t)
RUSTTORCH_KERNEL(int64_t)
#undef RUSTTORCH_KERNEL

RUSTTORCH_INSTANCE bool any_zero<int32_t>(const void*, int64_t);
RUSTTORCH_INSTANCE bool any_zero<int64_t>(const void*, int64_t);

}  // namespace rusttorch::RUSTTORCH_ISA
