// The kernel table of one ISA, filled from the family lists. Included by isa_<name>.cpp, inside the region. The kernels
// themselves are compiled in isa_<name>_<family>.cpp.
#pragma once
#ifndef RUSTTORCH_INSTANCE
#define RUSTTORCH_INSTANCE extern template
#endif
#include "instances_activations.h"
#include "instances_arithmetic.h"
#include "instances_dropout.h"
#include "instances_gemm.h"
#include "instances_logsumexp.h"
#include "instances_losses.h"
#include "instances_normalization.h"
#include "instances_reduce.h"
#include "instances_softmax.h"
#include "table.h"

#define RUSTTORCH_STRING_(name) #name
#define RUSTTORCH_STRING(name) RUSTTORCH_STRING_(name)

namespace rusttorch::RUSTTORCH_ISA {

constexpr KernelTable make_table() {
  KernelTable table{};
  table.name = RUSTTORCH_STRING(RUSTTORCH_ISA);
  table.float_lanes = Vec<float>::lanes;

#define RUSTTORCH_KERNELS(name, Functor, index, T) \
  table.name[index] = map1<T, Functor>;            \
  table.name##_backward[index] = map1_backward<T, Functor>;
#define RUSTTORCH_ROW(name, Functor)                    \
  RUSTTORCH_KERNELS(name, Functor, kFloat32, float)     \
  RUSTTORCH_KERNELS(name, Functor, kFloat64, double)    \
  RUSTTORCH_KERNELS(name, Functor, kBFloat16, bfloat16) \
  RUSTTORCH_KERNELS(name, Functor, kFloat16, float16)
  RUSTTORCH_ACTIVATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_ROW(name, Functor)               \
  table.name[kFloat32] = map2<float, Functor>;     \
  table.name[kFloat64] = map2<double, Functor>;    \
  table.name[kBFloat16] = map2<bfloat16, Functor>; \
  table.name[kFloat16] = map2<float16, Functor>;
  RUSTTORCH_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#define RUSTTORCH_ROW(name, Functor)           \
  table.name[kInt32] = map2<int32_t, Functor>; \
  table.name[kInt64] = map2<int64_t, Functor>;
  RUSTTORCH_INTEGER_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
  table.fused_multiply_add[kFloat32] = map3<float, FusedMultiplyAdd>;
  table.fused_multiply_add[kFloat64] = map3<double, FusedMultiplyAdd>;
  table.fused_multiply_add[kBFloat16] = map3<bfloat16, FusedMultiplyAdd>;
  table.fused_multiply_add[kFloat16] = map3<float16, FusedMultiplyAdd>;
  table.fused_multiply_add[kInt32] = map3<int32_t, FusedMultiplyAdd>;
  table.fused_multiply_add[kInt64] = map3<int64_t, FusedMultiplyAdd>;
  table.relu_integer[kInt32] = map1<int32_t, Relu>;
  table.relu_integer[kInt64] = map1<int64_t, Relu>;
  table.any_zero[kInt32] = any_zero<int32_t>;
  table.any_zero[kInt64] = any_zero<int64_t>;

#define RUSTTORCH_KERNELS(name, Functor, index, T)                  \
  table.name[index] = softmax_rows<T, Functor>;                     \
  table.name##_backward[index] = softmax_rows_backward<T, Functor>; \
  table.name##_columns[index] = softmax_columns<T, Functor>;        \
  table.name##_columns_backward[index] = softmax_columns_backward<T, Functor>;
#define RUSTTORCH_ROW(name, Functor)                    \
  RUSTTORCH_KERNELS(name, Functor, kFloat32, float)     \
  RUSTTORCH_KERNELS(name, Functor, kFloat64, double)    \
  RUSTTORCH_KERNELS(name, Functor, kBFloat16, bfloat16) \
  RUSTTORCH_KERNELS(name, Functor, kFloat16, float16)
  RUSTTORCH_SOFTMAX(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(index, T)                                        \
  table.logsumexp[index] = logsumexp_rows<T>;                              \
  table.logsumexp_columns[index] = logsumexp_columns<T>;                   \
  table.logsumexp_backward[index] = logsumexp_rows_backward<T>;            \
  table.logsumexp_columns_backward[index] = logsumexp_columns_backward<T>; \
  table.smoothing_sums[index] = smoothing_sums<T>;
  RUSTTORCH_KERNELS(kFloat32, float)
  RUSTTORCH_KERNELS(kFloat64, double)
  RUSTTORCH_KERNELS(kBFloat16, bfloat16)
  RUSTTORCH_KERNELS(kFloat16, float16)
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(index, T)                \
  table.logsumexp_kept[index] = logsumexp_kept<T>; \
  table.gradient_of_kept[index] = gradient_of_kept<T>;
  RUSTTORCH_KERNELS(kFloat32, float)
  RUSTTORCH_KERNELS(kFloat64, double)
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(index, T)                      \
  table.sum_rows[index] = sum_rows<T>;                   \
  table.sum_columns[index] = sum_columns<T>;             \
  table.squares_row[index] = squares_row<T>;             \
  table.squares_columns[index] = squares_columns<T>;     \
  table.deviation_rows[index] = deviation_rows<T>;       \
  table.deviation_columns[index] = deviation_columns<T>; \
  table.sum_tiny[index] = sum_tiny<T, false>;            \
  table.deviation_tiny[index] = sum_tiny<T, true>;
  RUSTTORCH_KERNELS(kFloat32, float)
  RUSTTORCH_KERNELS(kFloat64, double)
  RUSTTORCH_KERNELS(kBFloat16, bfloat16)
  RUSTTORCH_KERNELS(kFloat16, float16)
#undef RUSTTORCH_KERNELS
#define RUSTTORCH_KERNELS(name, Functor, index, T)           \
  table.name##_rows[index] = extreme_rows<T, Functor>;       \
  table.name##_columns[index] = extreme_columns<T, Functor>; \
  table.name##_tiny[index] = extreme_tiny<T, Functor>;
#define RUSTTORCH_ROW(name, Functor)                    \
  RUSTTORCH_KERNELS(name, Functor, kFloat32, float)     \
  RUSTTORCH_KERNELS(name, Functor, kFloat64, double)    \
  RUSTTORCH_KERNELS(name, Functor, kBFloat16, bfloat16) \
  RUSTTORCH_KERNELS(name, Functor, kFloat16, float16)
  RUSTTORCH_EXTREMES(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(index, T)                          \
  table.count_equal[index] = count_equal<T>;                 \
  table.share_equal[index] = share_equal<T>;                 \
  table.count_equal_columns[index] = count_equal_columns<T>; \
  table.share_equal_columns[index] = share_equal_columns<T>;
  RUSTTORCH_KERNELS(kFloat32, float)
  RUSTTORCH_KERNELS(kFloat64, double)
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(name, Functor, index, T) \
  table.name[index] = loss_map<T, Functor>;        \
  table.name##_sum[index] = loss_sum<T, Functor>;  \
  table.name##_backward[index] = loss_backward<T, Functor>;
#define RUSTTORCH_ROW(name, Functor)                    \
  RUSTTORCH_KERNELS(name, Functor, kFloat32, float)     \
  RUSTTORCH_KERNELS(name, Functor, kFloat64, double)    \
  RUSTTORCH_KERNELS(name, Functor, kBFloat16, bfloat16) \
  RUSTTORCH_KERNELS(name, Functor, kFloat16, float16)
  RUSTTORCH_LOSSES(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(name, Norm, index, mixed, T, P) \
  table.name[index][mixed] = normalize_rows<T, P, Norm>;  \
  table.name##_backward[index][mixed] = normalize_rows_backward<T, P, Norm>;
#define RUSTTORCH_ROW(name, Norm)                                 \
  RUSTTORCH_KERNELS(name, Norm, kFloat32, 0, float, float)        \
  RUSTTORCH_KERNELS(name, Norm, kFloat64, 0, double, double)      \
  RUSTTORCH_KERNELS(name, Norm, kBFloat16, 0, bfloat16, bfloat16) \
  RUSTTORCH_KERNELS(name, Norm, kFloat16, 0, float16, float16)    \
  RUSTTORCH_KERNELS(name, Norm, kBFloat16, 1, bfloat16, float)    \
  RUSTTORCH_KERNELS(name, Norm, kFloat16, 1, float16, float)
  RUSTTORCH_NORMALIZATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

#define RUSTTORCH_KERNELS(index, T)                    \
  table.dropout[index] = dropout<T>;                   \
  table.dropout_backward[index] = dropout_backward<T>; \
  table.mersenne_bernoulli[index] = mersenne_bernoulli<T>;
  RUSTTORCH_KERNELS(kFloat32, float)
  RUSTTORCH_KERNELS(kFloat64, double)
  RUSTTORCH_KERNELS(kBFloat16, bfloat16)
  RUSTTORCH_KERNELS(kFloat16, float16)
#undef RUSTTORCH_KERNELS

// Packing moves elements and does nothing to them: integers go the way of floating-point numbers of their size.
#define RUSTTORCH_KERNELS(index, T, Packed)                     \
  static_assert(GemmTile<T>::panel == GemmTile<Packed>::panel); \
  table.gemm_block[index] = gemm_block<T>;                      \
  table.gemm_few_rows[index] = gemm_few_rows<T>;                \
  table.gemm_dots[index] = gemm_dots<T>;                        \
  table.gemm_pack[index] = gemm_pack<Packed>;                   \
  table.gemm_pack_rows[index] = gemm_pack_rows<Packed, T>;      \
  table.gemm_turn[index] = gemm_turn<Packed>;                   \
  table.gemm_width[index] = GemmTile<T>::panel;                 \
  table.gemm_rows[index] = GemmTile<T>::rows;                   \
  table.gemm_pitch[index] = GemmTile<T>::pitch;
  RUSTTORCH_KERNELS(kFloat32, float, float)
  RUSTTORCH_KERNELS(kFloat64, double, double)
  RUSTTORCH_KERNELS(kGemmInt32, int32_t, float)
  RUSTTORCH_KERNELS(kGemmInt64, int64_t, double)
#undef RUSTTORCH_KERNELS
  return table;
}

extern const KernelTable kernel_table;
constinit const KernelTable kernel_table = make_table();

}  // namespace rusttorch::RUSTTORCH_ISA
