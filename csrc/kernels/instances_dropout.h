// The instances of dropout and of bernoulli_: see instances_activations.h.
#pragma once
#include "dropout.h"
#include "mersenne.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_KERNELS(T)                                                                                    \
  RUSTTORCH_INSTANCE void dropout<T>(void*, uint8_t*, const void*, int64_t, int64_t, const DropoutParameters&); \
  RUSTTORCH_INSTANCE void dropout_backward<T>(void*, const void*, const uint8_t*, int64_t, double);             \
  RUSTTORCH_INSTANCE void mersenne_bernoulli<T>(void*, MersenneState&, int64_t, uint64_t);
RUSTTORCH_KERNELS(float)
RUSTTORCH_KERNELS(double)
RUSTTORCH_KERNELS(bfloat16)
RUSTTORCH_KERNELS(float16)
#undef RUSTTORCH_KERNELS

}  // namespace rusttorch::RUSTTORCH_ISA
