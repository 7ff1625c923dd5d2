// The instances of the losses: see instances_activations.h.
#pragma once
#include "losses.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_KERNELS(T, Functor)                                                                         \
  RUSTTORCH_INSTANCE bool loss_map<T, Functor>(void*, const LossInputs&, int64_t, const Parameters&);         \
  RUSTTORCH_INSTANCE bool loss_sum<T, Functor>(double*, const LossInputs&, int64_t, bool, const Parameters&); \
  RUSTTORCH_INSTANCE void loss_backward<T, Functor>(void*, const void*, const LossInputs&, int64_t, const Parameters&);
#define RUSTTORCH_ROW(name, Functor)   \
  RUSTTORCH_KERNELS(float, Functor)    \
  RUSTTORCH_KERNELS(double, Functor)   \
  RUSTTORCH_KERNELS(bfloat16, Functor) \
  RUSTTORCH_KERNELS(float16, Functor)
RUSTTORCH_LOSSES(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

}  // namespace rusttorch::RUSTTORCH_ISA
