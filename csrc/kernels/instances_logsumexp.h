// The instances of logsumexp and the gradients made of it: see instances_activations.h.
#pragma once
#include "logsumexp.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_KERNELS(T)                                                                                      \
  RUSTTORCH_INSTANCE void logsumexp_rows<T>(void*, void*, const void*, int64_t, int64_t);                         \
  RUSTTORCH_INSTANCE void logsumexp_columns<T>(void*, void*, const void*, int64_t, int64_t, int64_t);             \
  RUSTTORCH_INSTANCE void logsumexp_rows_backward<T>(void*, const void*, int64_t, int64_t, const GradientTerms&); \
  RUSTTORCH_INSTANCE void logsumexp_columns_backward<T>(void*, const void*, int64_t, int64_t, int64_t,            \
                                                        const GradientTerms&);                                    \
  RUSTTORCH_INSTANCE void smoothing_sums<T>(double*, const void*, const void*, const void*, int64_t, int64_t);
RUSTTORCH_KERNELS(float)
RUSTTORCH_KERNELS(double)
RUSTTORCH_KERNELS(bfloat16)
RUSTTORCH_KERNELS(float16)
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(T)                                                                     \
  RUSTTORCH_INSTANCE void logsumexp_kept<T>(void*, void*, void*, const void*, int64_t, int64_t); \
  RUSTTORCH_INSTANCE void gradient_of_kept<T>(void*, const void*, int64_t, int64_t, const GradientTerms&);
RUSTTORCH_KERNELS(float)
RUSTTORCH_KERNELS(double)
#undef RUSTTORCH_KERNELS

}  // namespace rusttorch::RUSTTORCH_ISA
