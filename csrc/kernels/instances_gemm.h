// The instances of the products: see instances_activations.h.
#pragma once
#include "gemm.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_KERNELS(T)                                  \
  RUSTTORCH_INSTANCE void gemm_block<T>(const GemmBlock&);    \
  RUSTTORCH_INSTANCE void gemm_few_rows<T>(const GemmBlock&); \
  RUSTTORCH_INSTANCE void gemm_dots<T>(const GemmBlock&);
RUSTTORCH_KERNELS(float)
RUSTTORCH_KERNELS(double)
RUSTTORCH_KERNELS(int32_t)
RUSTTORCH_KERNELS(int64_t)
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(T, Integer)                                                                            \
  RUSTTORCH_INSTANCE void gemm_pack<T>(void*, int64_t, const void*, int64_t, int64_t, int64_t, int64_t);         \
  RUSTTORCH_INSTANCE void gemm_turn<T>(void*, int64_t, const void*, int64_t, int64_t, int64_t);                  \
  RUSTTORCH_INSTANCE void gemm_pack_rows<T, T>(void*, const void*, int64_t, int64_t, int64_t, int64_t, int64_t); \
  RUSTTORCH_INSTANCE void gemm_pack_rows<T, Integer>(void*, const void*, int64_t, int64_t, int64_t, int64_t, int64_t);
RUSTTORCH_KERNELS(float, int32_t)
RUSTTORCH_KERNELS(double, int64_t)
#undef RUSTTORCH_KERNELS

}  // namespace rusttorch::RUSTTORCH_ISA
