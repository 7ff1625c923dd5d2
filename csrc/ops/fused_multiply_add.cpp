// fused_multiply_add(a, b, c) = a*b + c, rounded once.
#include "torch_headers.h"

#include <ATen/core/Tensor.h>
#include <ATen/native/TypeProperties.h>
#include <ATen/ops/mul_ops.h>

#include "autograd.h"
#include "elementwise.h"
#include "own_schemas.h"
#include "result_iterator.h"

namespace rusttorch {
namespace {

constexpr double kCost = 0.12;  // nanoseconds per float32 element on one AVX2 core

Tensor cpu(const Tensor& a, const Tensor& b, const Tensor& c) {
  static DecisionPoint& point = *new DecisionPoint("fused_multiply_add");
  at::ScalarType type = a.scalar_type();
  if (b.scalar_type() != type || c.scalar_type() != type) {
    const std::array<Tensor, 3> operands = {a, b, c};
    type = at::native::result_type(at::TensorList(operands));
  }
  const int index = dtype_index(type);
  if (!point.count(index < 0 ? Decision::dtype : Decision::taken)) return ops::fused_multiply_add::call(a, b, c);
  const TernaryKernel kernel = kernels().fused_multiply_add[index];
  if (same_dense_layout(a, b) && same_dense_layout(a, c) && b.scalar_type() == type && c.scalar_type() == type) {
    Tensor result = empty_like_dense(a, type);
    const int64_t size = a.element_size(), n = a.numel();
    const char* first = static_cast<const char*>(a.const_data_ptr());
    const char* second = static_cast<const char*>(b.const_data_ptr());
    const char* third = static_cast<const char*>(c.const_data_ptr());
    write_result(result.data_ptr(), n, size, kCost, 4 * n * size, [&](char* to, int64_t begin, int64_t count) {
      const int64_t offset = begin * size;
      kernel(to, first + offset, second + offset, third + offset, count, 1, 1, 1);
    });
    return result;
  }
  ResultIterator iterator;
  iterator.build(at::TensorIteratorConfig()
                     .add_owned_output(Tensor())
                     .add_owned_const_input(c)  // the first input decides the strides, as in addcmul
                     .add_owned_const_input(a)
                     .add_owned_const_input(b)
                     .allow_cpu_scalars(true)
                     .promote_inputs_to_common_dtype(true)
                     .cast_common_dtype_to_outputs(true));
  run_ternary(iterator, kernel, kCost);
  return iterator.result();
}

struct MultiplyAddNode : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    const auto& multiply = handle<at::_ops::mul_Tensor>();
    torch::autograd::variable_list result(3);
    if (!grads[0].defined()) return result;
    if (task_should_compute_output(0)) result[0] = multiply.call(grads[0], b.unpack());
    if (task_should_compute_output(1)) result[1] = multiply.call(grads[0], a.unpack());
    if (task_should_compute_output(2)) result[2] = grads[0];
    return result;
  }
  void release() override {
    a.reset_data();
    b.reset_data();
  }
  std::string name() const override { return "TorchextFusedMultiplyAddBackward"; }

  torch::autograd::SavedVariable a, b;
};

Tensor autograd(c10::DispatchKeySet keys, const Tensor& a, const Tensor& b, const Tensor& c) {
  using Aten = ops::fused_multiply_add;
  const bool graph = needs_graph(a, b, c);
  const auto real = [](const Tensor& tensor) { return is_floating_index(dtype_index(tensor.scalar_type())); };
  const bool ours = real(a) && real(b) && real(c);
  // Not fusible: a compiler would write a*b + c, which rounds twice.
  if (belongs_to_aten<false>(a, b, c) || (graph && !ours)) return Aten::call(a, b, c);
  NodePointer<MultiplyAddNode> node;
  if (graph) {
    node = new_node<MultiplyAddNode>();
    node->set_next_edges(torch::autograd::collect_next_edges(a, b, c));
    if (b.requires_grad()) node->a = torch::autograd::SavedVariable(a, false);
    if (a.requires_grad()) node->b = torch::autograd::SavedVariable(b, false);
  }
  Tensor result = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, a, b, c);
  }();
  if (node) torch::autograd::set_history(result, node);
  return result;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  using Aten = ops::fused_multiply_add;
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &cpu);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &autograd);
}

}  // namespace rusttorch
