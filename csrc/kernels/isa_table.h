// Fills the kernel table of one ISA from the family lists. Included last, inside the region of isa_<name>.cpp.
#pragma once
#include "activations.h"
#include "arithmetic.h"
#include "map.h"
#include "softmax.h"
#include "table.h"

#define RUSTTORCH_STRING_(name) #name
#define RUSTTORCH_STRING(name) RUSTTORCH_STRING_(name)

namespace rusttorch::RUSTTORCH_ISA {

template <class T, template <class> class Functor>
constexpr BinaryKernel binary_kernel() {
  if constexpr (std::is_integral_v<T> && requires { Functor<Vec<float>>::floating_only; }) return nullptr;
  else return map2<T, Functor>;
}

constexpr KernelTable make_table() {
  KernelTable table{};
  table.name = RUSTTORCH_STRING(RUSTTORCH_ISA);
  table.float_lanes = Vec<float>::lanes;

#define RUSTTORCH_ROW(name, Functor)                              \
  table.name[kFloat32] = map1<float, Functor>;                    \
  table.name[kFloat64] = map1<double, Functor>;                   \
  table.name[kBFloat16] = map1<bfloat16, Functor>;                \
  table.name[kFloat16] = map1<float16, Functor>;                  \
  table.name##_backward[kFloat32] = map1_backward<float, Functor>;     \
  table.name##_backward[kFloat64] = map1_backward<double, Functor>;    \
  table.name##_backward[kBFloat16] = map1_backward<bfloat16, Functor>; \
  table.name##_backward[kFloat16] = map1_backward<float16, Functor>;
  RUSTTORCH_ACTIVATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW

#define RUSTTORCH_ROW(name, Functor)                       \
  table.name[kFloat32] = binary_kernel<float, Functor>();     \
  table.name[kFloat64] = binary_kernel<double, Functor>();    \
  table.name[kBFloat16] = binary_kernel<bfloat16, Functor>(); \
  table.name[kFloat16] = binary_kernel<float16, Functor>();   \
  table.name[kInt32] = binary_kernel<int32_t, Functor>();     \
  table.name[kInt64] = binary_kernel<int64_t, Functor>();
  RUSTTORCH_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW

  table.fused_multiply_add[kFloat32] = map3<float, FusedMultiplyAdd>;
  table.fused_multiply_add[kFloat64] = map3<double, FusedMultiplyAdd>;
  table.fused_multiply_add[kBFloat16] = map3<bfloat16, FusedMultiplyAdd>;
  table.fused_multiply_add[kFloat16] = map3<float16, FusedMultiplyAdd>;
  table.fused_multiply_add[kInt32] = map3<int32_t, FusedMultiplyAdd>;
  table.fused_multiply_add[kInt64] = map3<int64_t, FusedMultiplyAdd>;
  table.any_zero[kInt32] = any_zero<int32_t>;
  table.any_zero[kInt64] = any_zero<int64_t>;
  return table;
}

extern const KernelTable kernel_table;
constinit const KernelTable kernel_table = make_table();

}  // namespace rusttorch::RUSTTORCH_ISA
