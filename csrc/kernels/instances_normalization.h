// The instances of the normalisations: see instances_activations.h. Reduced precisions also with float weights.
#pragma once
#include "normalization.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_KERNELS(T, P, Norm)                                                                            \
  RUSTTORCH_INSTANCE void normalize_rows<T, P, Norm>(void*, void*, void*, const void*, const void*, const void*, \
                                                     int64_t, int64_t, double);                                  \
  RUSTTORCH_INSTANCE void normalize_rows_backward<T, P, Norm>(                                                   \
      void*, void*, void*, const void*, const void*, const void*, const void*, const void*, int64_t, int64_t);
#define RUSTTORCH_ROW(name, Norm)             \
  RUSTTORCH_KERNELS(float, float, Norm)       \
  RUSTTORCH_KERNELS(double, double, Norm)     \
  RUSTTORCH_KERNELS(bfloat16, bfloat16, Norm) \
  RUSTTORCH_KERNELS(float16, float16, Norm)   \
  RUSTTORCH_KERNELS(bfloat16, float, Norm)    \
  RUSTTORCH_KERNELS(float16, float, Norm)
RUSTTORCH_NORMALIZATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

}  // namespace rusttorch::RUSTTORCH_ISA
