// layer_norm and rms_norm: operators and autograd.
#include "torch_headers.h"

#include "normalization.h"

#include <ATen/OpMathType.h>
#include <ATen/ops/_fused_rms_norm_backward_ops.h>
#include <ATen/ops/_fused_rms_norm_ops.h>
#include <ATen/ops/layer_norm_ops.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/native_layer_norm_backward_ops.h>
#include <ATen/ops/native_layer_norm_ops.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rms_norm_ops.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/sum.h>
#include <c10/util/SmallVector.h>

#include <limits>

#include "autograd.h"
#include "entropy.h"

namespace rusttorch {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;
using Dims = c10::SmallVector<int64_t, 4>;

std::optional<Tensor> optional_of(const Tensor& tensor) {
  return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
}
// Symbolic sizes are ATen's.
at::OptionalIntArrayRef numbers_of(c10::SymIntArrayRef sizes) {
  const auto numbers = c10::asIntArrayRefSlowOpt(sizes);
  return numbers ? at::OptionalIntArrayRef(*numbers) : std::nullopt;
}

// ATen has this operator for other devices only. Where it has not, or a derivative is needed, it is written out, rstd
// being an argument like any other.
struct rms_norm_backward_composition : at::_ops::_fused_rms_norm_backward {
  static std::tuple<Tensor, Tensor> call(const Tensor& grad_output, const Tensor& input, at::IntArrayRef shape,
                                         const Tensor& rstd, const std::optional<Tensor>& weight,
                                         std::array<bool, 2> mask) {
    if (!input.device().is_cpu() && !input.device().is_meta() && !needs_graph(grad_output, input, rstd, weight)) {
      return at::_ops::_fused_rms_norm_backward::call(grad_output, input, shape, rstd, weight, mask);
    }
    const at::ScalarType type = at::toOpMathType(input.scalar_type());
    const Tensor x = input.to(type), grad = grad_output.to(type), normal = at::mul(x, rstd);
    Tensor grad_input, grad_weight;
    Dims inner, outer;
    for (int64_t i = 0; i < input.dim(); ++i) {
      (i < input.dim() - static_cast<int64_t>(shape.size()) ? outer : inner).push_back(i);
    }
    if (mask[0]) {
      const Tensor g = weight && weight->defined() ? at::mul(grad, *weight) : grad;
      const Tensor projection = at::mean(at::mul(g, normal), inner, true);
      grad_input = at::mul(at::sub(g, at::mul(normal, projection)), rstd).to(input.scalar_type());
    }
    if (mask[1] && weight && weight->defined()) {
      grad_weight = at::mul(grad, normal);
      if (!outer.empty()) grad_weight = at::sum(grad_weight, outer);
      grad_weight = grad_weight.to(weight->scalar_type());
    }
    return {grad_input, grad_weight};
  }
};

using Layer = at::_ops::layer_norm;
using NativeLayer = at::_ops::native_layer_norm;
using NativeLayerBackward = at::_ops::native_layer_norm_backward;
using Rms = at::_ops::rms_norm;
using FusedRms = at::_ops::_fused_rms_norm;
using FusedRmsBackward = rms_norm_backward_composition;

DecisionPoint& layer_point() {
  static DecisionPoint& instance = *new DecisionPoint("layer_norm");
  return instance;
}
DecisionPoint& rms_point() {
  static DecisionPoint& instance = *new DecisionPoint("rms_norm");
  return instance;
}

Tensor layer_cpu(const Tensor& input, c10::SymIntArrayRef shape, const std::optional<Tensor>& weight,
                 const std::optional<Tensor>& bias, double eps, bool cudnn) {
  if (const auto sizes = numbers_of(shape)) {
    const Tensor result = layer_norm_result(layer_point(), input, *sizes, tensor_of(weight), tensor_of(bias), eps);
    if (result.defined()) return result;
  }
  return Layer::call(input, shape, weight, bias, eps, cudnn);
}
Tensor rms_cpu(const Tensor& input, c10::SymIntArrayRef shape, const std::optional<Tensor>& weight,
               std::optional<double> eps) {
  if (const auto sizes = numbers_of(shape)) {
    const Tensor result = rms_norm_result(rms_point(), input, *sizes, tensor_of(weight), eps);
    if (result.defined()) return result;
  }
  return Rms::call(input, shape, weight, eps);
}

std::tuple<Tensor, Tensor, Tensor> native_cpu(const Tensor& input, c10::SymIntArrayRef shape,
                                              const std::optional<Tensor>& weight, const std::optional<Tensor>& bias,
                                              double eps) {
  static DecisionPoint& point = *new DecisionPoint("native_layer_norm");
  if (const auto sizes = numbers_of(shape)) {
    const auto result = native_layer_norm(point, input, *sizes, tensor_of(weight), tensor_of(bias), eps);
    if (result) return *result;
  }
  return NativeLayer::call(input, shape, weight, bias, eps);
}
std::tuple<Tensor, Tensor, Tensor> native_backward_cpu(const Tensor& grad_output, const Tensor& input,
                                                       c10::SymIntArrayRef shape, const Tensor& mean,
                                                       const Tensor& rstd, const std::optional<Tensor>& weight,
                                                       const std::optional<Tensor>& bias, std::array<bool, 3> mask) {
  static DecisionPoint& point = *new DecisionPoint("native_layer_norm_backward");
  if (const auto sizes = numbers_of(shape)) {
    const auto result = native_layer_norm_backward(point, grad_output, input, *sizes, mean, rstd, tensor_of(weight),
                                                   tensor_of(bias), mask);
    if (result) return *result;
  }
  return NativeLayerBackward::call(grad_output, input, shape, mean, rstd, weight, bias, mask);
}

std::tuple<Tensor, Tensor> fused_rms_cpu(const Tensor& input, at::IntArrayRef shape,
                                         const std::optional<Tensor>& weight, std::optional<double> eps) {
  static DecisionPoint& point = *new DecisionPoint("_fused_rms_norm");
  const auto result = fused_rms_norm(point, input, shape, tensor_of(weight), eps);
  return result ? *result : FusedRms::call(input, shape, weight, eps);
}
std::tuple<Tensor, Tensor> fused_rms_backward_cpu(const Tensor& grad_output, const Tensor& input, at::IntArrayRef shape,
                                                  const Tensor& rstd, const std::optional<Tensor>& weight,
                                                  std::array<bool, 2> mask) {
  static DecisionPoint& point = *new DecisionPoint("_fused_rms_norm_backward");
  const auto result = fused_rms_norm_backward(point, grad_output, input, shape, rstd, tensor_of(weight), mask);
  return result ? *result : FusedRmsBackward::call(grad_output, input, shape, rstd, weight, mask);
}

// What both nodes keep: input and weights as given, statistics in the compute type.
struct NormalizationNode : LockedNode {
  void release() override {
    for (auto* saved : {&input, &weight, &bias, &mean, &rstd}) saved->reset_data();
  }
  SavedVariable input, weight, bias, mean, rstd;
  Dims shape;
};

struct LayerNormNode : NormalizationNode {
  variable_list gradients(variable_list&& grads) override {
    if (!grads[0].defined()) return variable_list(3);
    const Tensor x = input.unpack(), w = weight.unpack(), b = bias.unpack();
    Tensor means = mean.unpack(), scales = rstd.unpack();
    if (at::GradMode::is_enabled()) {  // ATen's operator, which is differentiable, takes them in its own dtype
      means = means.to(statistics);
      scales = scales.to(statistics);
    }
    const std::array<bool, 3> mask = {task_should_compute_output(0), task_should_compute_output(1),
                                      task_should_compute_output(2)};
    const auto [grad_input, grad_weight, grad_bias] = handle<NativeLayerBackward>().call(
        grads[0], x, c10::fromIntArrayRefSlow(shape), means, scales, optional_of(w), optional_of(b), mask);
    return {grad_input, grad_weight, grad_bias};
  }
  std::string name() const override { return "TorchextLayerNormBackward"; }
  at::ScalarType statistics = at::kFloat;
};

struct RmsNormNode : NormalizationNode {
  variable_list gradients(variable_list&& grads) override {
    if (!grads[0].defined()) return variable_list(2);
    const Tensor x = input.unpack(), w = weight.unpack();
    const std::array<bool, 2> mask = {task_should_compute_output(0), task_should_compute_output(1)};
    Tensor scales = rstd.unpack();
    if (at::GradMode::is_enabled()) {  // rstd as the function of the input that it is
      Dims inner;
      for (int64_t i = x.dim() - static_cast<int64_t>(shape.size()); i < x.dim(); ++i) inner.push_back(i);
      const Tensor wide = x.to(at::toOpMathType(x.scalar_type()));
      scales = at::rsqrt(at::mean(at::pow(wide, 2), inner, true).add(eps));
    }
    const auto [grad_input, grad_weight] =
        handle<FusedRmsBackward>().call(grads[0], x, shape, scales, optional_of(w), mask);
    return {grad_input, grad_weight};
  }
  std::string name() const override { return "TorchextRmsNormBackward"; }
  double eps = 0;
};

Tensor layer_autograd(c10::DispatchKeySet keys, const Tensor& input, c10::SymIntArrayRef shape,
                      const std::optional<Tensor>& weight, const std::optional<Tensor>& bias, double eps, bool cudnn) {
  if (belongs_to_aten<true>(input, weight, bias)) return Layer::call(input, shape, weight, bias, eps, cudnn);
  if (!needs_graph(input, weight, bias)) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Layer>().redispatch(keys & c10::after_ADInplaceOrView_keyset, input, shape, weight, bias, eps, cudnn);
  }
  const auto sizes = numbers_of(shape);
  const Tensor w = tensor_of(weight), b = tensor_of(bias);
  NormalizedRows rows;
  const Decision decision = sizes ? decide_normalization(input, *sizes, w, b, rows) : Decision::arguments;
  if (!layer_point().count(decision)) return Layer::call(input, shape, weight, bias, eps, cudnn);
  auto node = new_node<LayerNormNode>();
  node->set_next_edges(torch::autograd::collect_next_edges(input, w, b));
  const Normalized normalized = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return layer_norm_with_statistics(input, w, b, eps, rows, sizes->size());
  }();
  node->input = SavedVariable(input, false);
  node->weight = SavedVariable(w, false);
  node->bias = SavedVariable(b, false);
  node->mean = SavedVariable(normalized.mean, false);
  node->rstd = SavedVariable(normalized.rstd, false);
  node->shape.assign(sizes->begin(), sizes->end());
  node->statistics = rows.statistics;
  torch::autograd::set_history(normalized.result, node);
  return normalized.result;
}

Tensor rms_autograd(c10::DispatchKeySet keys, const Tensor& input, c10::SymIntArrayRef shape,
                    const std::optional<Tensor>& weight, std::optional<double> eps) {
  if (belongs_to_aten<true>(input, weight)) return Rms::call(input, shape, weight, eps);
  if (!needs_graph(input, weight)) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Rms>().redispatch(keys & c10::after_ADInplaceOrView_keyset, input, shape, weight, eps);
  }
  const auto sizes = numbers_of(shape);
  const Tensor w = tensor_of(weight);
  NormalizedRows rows;
  Decision decision = sizes ? decide_normalization(input, *sizes, w, Tensor(), rows) : Decision::arguments;
  // The gradients of other layouts have strides of their own in ATen.
  if (decision == Decision::taken && !input.is_contiguous()) decision = Decision::layout;
  if (!rms_point().count(decision)) return Rms::call(input, shape, weight, eps);
  auto node = new_node<RmsNormNode>();
  node->set_next_edges(torch::autograd::collect_next_edges(input, w));
  const Normalized normalized = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return rms_norm_with_statistics(input, w, eps, rows, sizes->size());
  }();
  node->input = SavedVariable(input, false);
  node->weight = SavedVariable(w, false);
  node->rstd = SavedVariable(normalized.rstd, false);
  node->shape.assign(sizes->begin(), sizes->end());
  node->eps = eps                                  ? *eps
              : input.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                   : double(std::numeric_limits<float>::epsilon());
  torch::autograd::set_history(normalized.result, node);
  return normalized.result;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  define<Layer>(library);
  implement<Layer>(library, c10::DispatchKey::CPU, &layer_cpu);
  implement<Layer>(library, c10::DispatchKey::AutogradCPU, &layer_autograd);
  define<NativeLayer>(library);
  implement<NativeLayer>(library, c10::DispatchKey::CPU, &native_cpu);
  implement_pass_through<NativeLayer, true>(library);
  define<NativeLayerBackward>(library);
  implement<NativeLayerBackward>(library, c10::DispatchKey::CPU, &native_backward_cpu);
  implement_pass_through<NativeLayerBackward, true>(library);
  define<Rms>(library);
  implement<Rms>(library, c10::DispatchKey::CPU, &rms_cpu);
  implement<Rms>(library, c10::DispatchKey::AutogradCPU, &rms_autograd);
  define<FusedRms>(library);
  implement<FusedRms>(library, c10::DispatchKey::CPU, &fused_rms_cpu);
  implement_pass_through<FusedRms, true>(library);
  define<FusedRmsBackward>(library);
  implement<FusedRmsBackward>(library, c10::DispatchKey::CPU, &fused_rms_backward_cpu);
  implement_pass_through<FusedRmsBackward, true>(library);
}

}  // namespace rusttorch
