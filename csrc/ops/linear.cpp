// linear(input, weight, bias) = input weight^T + bias, and linear_act, the same followed by an activation, which is
// applied to each part of the result while that is in a core's cache.
#include "torch_headers.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_ops.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/linear_ops.h>
#include <ATen/ops/mm_ops.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/relu_ops.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sigmoid_ops.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_ops.h>
#include <ATen/ops/sum_ops.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_ops.h>

#include "autograd.h"
#include "gemm.h"
#include "linear.h"
#include "product_choice.h"
#include "results.h"
#include "widening.h"

namespace rusttorch {
namespace {

using OptionalTensor = std::optional<Tensor>;

bool is_given(const OptionalTensor& tensor) { return tensor && tensor->defined(); }

Decision decide(const Tensor& input, const Tensor& weight, const OptionalTensor& bias) {
  const at::ScalarType type = input.scalar_type();
  const auto plain = [](const Tensor& tensor) { return tensor.layout() == at::kStrided && !tensor.is_neg(); };
  if (gemm_index(type) < 0) return Decision::dtype;
  if (weight.scalar_type() != type || (is_given(bias) && bias->scalar_type() != type)) return Decision::dtype;
  if (!plain(input) || !plain(weight) || (is_given(bias) && !plain(*bias))) return Decision::layout;
  if (input.dim() < 1 || weight.dim() != 2 || input.size(-1) != weight.size(1)) return Decision::arguments;
  if (is_given(bias) && (bias->dim() != 1 || bias->size(0) != weight.size(0))) return Decision::arguments;
  if (input.numel() == 0 || weight.numel() == 0) return Decision::arguments;
  const bool is_slower = torch_is_faster(gemm_index(type), input.numel() / input.size(-1), weight.size(1),
                                         weight.size(0), input.stride(-1) != 1, weight.stride(0) != 1);
  return is_slower ? Decision::slower : Decision::taken;
}

// The leading dimensions as one; a view where the strides allow one. Sizes may be symbolic.
Tensor as_matrix(const Tensor& tensor) {
  if (tensor.dim() == 2) return tensor;
  return tensor.dim() == 1 ? tensor.unsqueeze(0) : tensor.flatten(0, -2);
}

// Whether our node differentiates the call; of sizes that do not fit the kernel below complains.
bool is_differentiable(const Tensor& input, const Tensor& weight, const OptionalTensor& bias) {
  const at::ScalarType type = input.scalar_type();
  return is_floating_index(dtype_index(type)) && weight.scalar_type() == type && input.dim() >= 1 &&
         weight.dim() == 2 && (!is_given(bias) || (bias->scalar_type() == type && bias->dim() == 1));
}

Tensor run_linear(const Tensor& input, const Tensor& weight, const OptionalTensor& bias, UnaryKernel activation,
                  const Parameters& parameters) {
  c10::SmallVector<int64_t, 5> sizes(input.sizes().begin(), input.sizes().end());
  sizes.back() = weight.size(0);
  Tensor result = empty_result(sizes, input.scalar_type());
  const Tensor matrix = as_matrix(input);
  const Tensor row = is_given(bias) ? bias->contiguous() : Tensor();
  GemmProblem p{};
  p.rows = matrix.size(0), p.columns = weight.size(0), p.k = weight.size(1);
  p.a = matrix.const_data_ptr(), p.a_row_stride = matrix.stride(0), p.a_k_stride = matrix.stride(1);
  p.b = weight.const_data_ptr(), p.b_k_stride = weight.stride(1), p.b_column_stride = weight.stride(0);
  p.c = result.data_ptr(), p.c_stride = p.columns;
  p.bias = row.defined() ? row.const_data_ptr() : nullptr;
  p.activation = activation;
  p.parameters = &parameters;
  run_gemm(p, gemm_index(input.scalar_type()));
  return result;
}

// From the sizes alone: float32 calls pass here, too.
bool is_widened(const Tensor& input, const Tensor& weight, const OptionalTensor& bias) {
  const at::ScalarType type = input.scalar_type();
  if (product_type(type) == type || !is_floating_index(dtype_index(type)) || weight.scalar_type() != type) return false;
  if (is_given(bias) && bias->scalar_type() != type) return false;
  if (input.layout() != at::kStrided || weight.layout() != at::kStrided) return false;
  if (input.dim() < 1 || weight.dim() != 2 || input.numel() == 0) return false;
  const int64_t rows = input.numel() / input.size(-1);
  return pays_widening(type, 1, rows, input.size(-1), weight.size(0), weight.stride(0) == 1);
}
OptionalTensor widened_bias(const OptionalTensor& bias) {
  return is_given(bias) ? OptionalTensor(widened(*bias)) : OptionalTensor();
}

Tensor linear_cpu(const Tensor& input, const Tensor& weight, const OptionalTensor& bias) {
  if (is_widened(input, weight, bias)) {
    return linear_cpu(widened(input), widened(weight), widened_bias(bias)).to(input.scalar_type());
  }
  static DecisionPoint& point = *new DecisionPoint("linear");
  if (!point.count(decide(input, weight, bias))) return at::_ops::linear::call(input, weight, bias);
  return run_linear(input, weight, bias, nullptr, {});
}

// d input = g weight, d weight = g^T input, d bias = the sum of g over its rows.
struct LinearNode : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    torch::autograd::variable_list result(3);
    if (!grads[0].defined()) return result;
    const Tensor grad = as_matrix(grads[0]);
    const auto& multiply = handle<at::_ops::mm>();
    if (task_should_compute_output(0)) result[0] = multiply.call(grad, weight.unpack()).reshape_symint(input_sizes);
    if (task_should_compute_output(1)) result[1] = multiply.call(grad.t(), as_matrix(input.unpack()));
    if (task_should_compute_output(2)) {
      result[2] = handle<at::_ops::sum_dim_IntList>().call(grad, 0, false, std::nullopt);
    }
    return result;
  }
  void release() override {
    input.reset_data();
    weight.reset_data();
  }
  std::string name() const override { return "TorchextLinearBackward"; }

  torch::autograd::SavedVariable input, weight;
  c10::SmallVector<c10::SymInt, 5> input_sizes;
};

Tensor linear_autograd(c10::DispatchKeySet keys, const Tensor& input, const Tensor& weight,
                       const OptionalTensor& bias) {
  const bool graph = needs_graph(input, weight, bias);
  if (belongs_to_aten<false>(input, weight, bias) || (graph && !is_differentiable(input, weight, bias))) {
    return at::_ops::linear::call(input, weight, bias);
  }
  NodePointer<LinearNode> node;
  if (graph) {
    node = new_node<LinearNode>();
    node->set_next_edges(torch::autograd::collect_next_edges(input, weight, bias.value_or(Tensor())));
    const c10::SymIntArrayRef sizes = input.sym_sizes();
    node->input_sizes.assign(sizes.begin(), sizes.end());
    if (weight.requires_grad()) node->input = torch::autograd::SavedVariable(input, false);
    if (input.requires_grad()) node->weight = torch::autograd::SavedVariable(weight, false);
  }
  Tensor result = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<at::_ops::linear>().redispatch(keys & c10::after_ADInplaceOrView_keyset, input, weight, bias);
  }();
  if (node) torch::autograd::set_history(result, node);
  return result;
}

// The activations of linear_act: their kernels, and the operators that compose the same (ours, or ATen's).
struct Activation {
  std::string_view name;
  UnaryKernel (KernelTable::*row)[kFloatingDtypes];
  Tensor (*ours)(const Tensor&);
  Tensor (*atens)(const Tensor&);
};
template <class Aten>
Tensor ours(const Tensor& x) {
  return handle<Aten>().call(x);
}
constexpr Activation kActivations[] = {
    {"gelu", &KernelTable::gelu_erf, [](const Tensor& x) { return handle<at::_ops::gelu>().call(x, "none"); },
     [](const Tensor& x) { return at::gelu(x); }},
    {"gelu_tanh", &KernelTable::gelu_tanh, [](const Tensor& x) { return handle<at::_ops::gelu>().call(x, "tanh"); },
     [](const Tensor& x) { return at::gelu(x, "tanh"); }},
    {"relu", &KernelTable::relu, ours<at::_ops::relu>, [](const Tensor& x) { return at::relu(x); }},
    {"silu", &KernelTable::silu, ours<at::_ops::silu>, [](const Tensor& x) { return at::silu(x); }},
    {"tanh", &KernelTable::tanh, ours<at::_ops::tanh>, [](const Tensor& x) { return at::tanh(x); }},
    {"sigmoid", &KernelTable::sigmoid, ours<at::_ops::sigmoid>, [](const Tensor& x) { return at::sigmoid(x); }},
};
const Activation& activation_named(std::string_view name) {
  for (const Activation& activation : kActivations) {
    if (activation.name == name) return activation;
  }
  TORCH_CHECK_VALUE(
      false, "linear_act(): expected activation to be one of gelu, gelu_tanh, relu, silu, tanh, sigmoid, got ", name);
}

Tensor linear_act_cpu(const Tensor& input, const Tensor& weight, const OptionalTensor& bias, std::string_view name) {
  static DecisionPoint& point = *new DecisionPoint("linear_act");
  const Activation& activation = activation_named(name);
  const bool is_real = is_floating_index(dtype_index(input.scalar_type()));
  if (is_widened(input, weight, bias)) {
    return linear_act_cpu(widened(input), widened(weight), widened_bias(bias), name).to(input.scalar_type());
  }
  if (!point.count(is_real ? decide(input, weight, bias) : Decision::dtype)) {
    return ops::linear_act::call(input, weight, bias, name);
  }
  return run_linear(input, weight, bias, (kernels().*activation.row)[dtype_index(input.scalar_type())], {});
}

// With a graph the two operators follow each other: what the activation is a function of must be kept anyhow.
Tensor linear_act_autograd(c10::DispatchKeySet keys, const Tensor& input, const Tensor& weight,
                           const OptionalTensor& bias, std::string_view name) {
  if (belongs_to_aten<false>(input, weight, bias)) return ops::linear_act::call(input, weight, bias, name);
  if (needs_graph(input, weight, bias)) {
    const Activation& activation = activation_named(name);
    return activation.ours(handle<at::_ops::linear>().call(input, weight, bias));
  }
  at::AutoDispatchBelowADInplaceOrView guard;
  return handle<ops::linear_act>().redispatch(keys & c10::after_ADInplaceOrView_keyset, input, weight, bias, name);
}

}  // namespace

Tensor ops::linear_act::call(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                             std::string_view activation) {
  return activation_named(activation).atens(at::linear(input, weight, bias));
}

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  using at::_ops::linear;
  define<linear>(library);
  implement<linear>(library, c10::DispatchKey::CPU, &linear_cpu);
  implement<linear>(library, c10::DispatchKey::AutogradCPU, &linear_autograd);
  implement<linear>(library, c10::DispatchKey::AutocastCPU, &linear::call);
  define<ops::linear_act>(library);
  implement<ops::linear_act>(library, c10::DispatchKey::CPU, &linear_act_cpu);
  implement<ops::linear_act>(library, c10::DispatchKey::AutogradCPU, &linear_act_autograd);
  implement<ops::linear_act>(library, c10::DispatchKey::AutocastCPU, &ops::linear_act::call);
}

}  // namespace rusttorch
