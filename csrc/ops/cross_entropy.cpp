// cross_entropy_loss of class indices; cross_entropy_run.cpp has the loops.
#include "torch_headers.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cross_entropy_loss_ops.h>

#include "cross_entropy_run.h"
#include "entropy_registration.h"
#include "made_gradient.h"

namespace rusttorch {
namespace {

using Aten = at::_ops::cross_entropy_loss;
using Forward = ops::_cross_entropy_forward;
using Backward = ops::_cross_entropy_backward;

Decision decide(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction, double smoothing) {
  const Decision decision = decide_entropy(self, target, weight, reduction);
  if (decision != Decision::taken) return decision;
  return smoothing >= 0 && smoothing <= 1 ? Decision::taken : Decision::arguments;
}

Tensor cpu(const Tensor& self, const Tensor& target, const std::optional<Tensor>& weight, int64_t reduction,
           c10::SymInt ignore_index, double smoothing) {
  if (!entropy_point().count(decide(self, target, tensor_of(weight), reduction, smoothing))) {
    return Aten::call(self, target, weight, reduction, std::move(ignore_index), smoothing);
  }
  const EntropyProblem problem(self, target, tensor_of(weight), reduction, ignore_index.expect_int(), smoothing);
  return std::get<0>(entropy(problem, false));
}

std::tuple<Tensor, Tensor, Tensor, Tensor> forward_cpu(const Tensor& self, const Tensor& target,
                                                       const std::optional<Tensor>& weight, int64_t reduction,
                                                       c10::SymInt ignore_index, double smoothing) {
  if (!entropy_point().count(decide(self, target, tensor_of(weight), reduction, smoothing))) {
    return Forward::call(self, target, weight, reduction, std::move(ignore_index), smoothing);
  }
  const EntropyProblem problem(self, target, tensor_of(weight), reduction, ignore_index.expect_int(), smoothing);
  return entropy(problem, true);
}

Tensor backward_cpu(const Tensor& grad_output, const Tensor& self, const Tensor& target,
                    const std::optional<Tensor>& weight, int64_t reduction, c10::SymInt ignore_index, double smoothing,
                    const Tensor& max, const Tensor& log_sum, const Tensor& total_weight) {
  const at::ScalarType wide = compute_type(self.scalar_type());
  Decision decision = decide(self, target, tensor_of(weight), reduction, smoothing);
  if (decision == Decision::taken) {
    const bool fits =
        max.scalar_type() == wide && log_sum.scalar_type() == wide && max.sizes() == target.sizes() &&
        log_sum.sizes() == target.sizes() && total_weight.numel() == 1 &&
        (reduction == at::Reduction::None ? grad_output.sizes() == target.sizes() : grad_output.numel() == 1);
    if (!fits) decision = Decision::arguments;
    else if (grad_output.scalar_type() != self.scalar_type()) decision = Decision::dtype;
  }
  if (!entropy_gradient_point().count(decision)) {
    return Backward::call(grad_output, self, target, weight, reduction, std::move(ignore_index), smoothing, max,
                          log_sum, total_weight);
  }
  const EntropyProblem problem(self, target, tensor_of(weight), reduction, ignore_index.expect_int(), smoothing);
  const double divisor = reduction == at::Reduction::Mean ? total_weight.item<double>() : 1;
  return entropy_gradient(problem, grad_output.contiguous(), max.contiguous(), log_sum.contiguous(), divisor);
}

struct Node : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    const Tensor classes = target.unpack(),
                 factors = weight.unpack();  // which refuse what was overwritten, as ATen does
    if (Tensor made = take_made_gradient(gradient, grads[0]); made.defined()) return {made};
    return {handle<Backward>().call(grads[0], self.unpack(), classes,
                                    factors.defined() ? std::optional<Tensor>(factors) : std::nullopt, reduction,
                                    ignore_index, smoothing, max.unpack(), log_sum.unpack(), total_weight.unpack())};
  }
  void release() override {
    gradient.reset();
    for (auto* saved : {&self, &target, &weight, &max, &log_sum, &total_weight}) saved->reset_data();
  }
  std::string name() const override { return "TorchextCrossEntropyBackward"; }

  Tensor gradient;  // for a grad_output of 1, or undefined; given away once
  torch::autograd::SavedVariable self, target, weight, max, log_sum, total_weight;
  int64_t reduction = 0;
  c10::SymInt ignore_index;
  double smoothing = 0;
};

Tensor autograd(c10::DispatchKeySet keys, const Tensor& self, const Tensor& target, const std::optional<Tensor>& weight,
                int64_t reduction, c10::SymInt ignore_index, double smoothing) {
  const Tensor weights = tensor_of(weight);
  const bool graph = needs_graph(self);
  if (belongs_to_aten<false>(self, target) || (weights.defined() && has_tangent(weights)) ||
      is_beyond_input(target, weights)) {
    return Aten::call(self, target, weight, reduction, std::move(ignore_index), smoothing);
  }
  // Sizes of traced tensors may be symbols, which must not be compared here.
  const bool traced = is_traced(self) || is_traced(target) || c10::impl::dispatch_mode_enabled();
  if (!graph && !traced) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, target, weight, reduction,
                                     std::move(ignore_index), smoothing);
  }
  Decision decision = Decision::taken;
  if (!traced) decision = decide(self, target, weights, reduction, smoothing);
  else if (!takes_class_indices(self, target, weights)) decision = Decision::arguments;
  if (decision != Decision::taken) {
    if (!traced) entropy_point().count(decision);
    return Aten::call(self, target, weight, reduction, std::move(ignore_index), smoothing);
  }
  Tensor gradient;
  const auto [loss, max, log_sum, total_weight] = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    if (may_make_gradient(self, target, weight)) {
      const EntropyProblem problem(self, target, weights, reduction, ignore_index.expect_int(), smoothing);
      if (makes_gradient(problem)) {
        entropy_point().count(Decision::taken);
        entropy_gradient_point().count(Decision::taken);
        return entropy(problem, true, &gradient);
      }
    }
    return handle<Forward>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, target, weight, reduction,
                                        ignore_index, smoothing);
  }();
  if (!graph) return loss;
  auto node = new_node<Node>();
  node->set_next_edges(torch::autograd::collect_next_edges(self));
  using torch::autograd::SavedVariable;
  node->gradient = std::move(gradient);
  node->self = SavedVariable(self, false);
  node->target = SavedVariable(target, false);
  node->weight = SavedVariable(weights, false);
  node->max = SavedVariable(max, false);
  node->log_sum = SavedVariable(log_sum, false);
  node->total_weight = SavedVariable(total_weight, false);
  node->reduction = reduction;
  node->ignore_index = std::move(ignore_index);
  node->smoothing = smoothing;
  torch::autograd::set_history(loss, node);
  return loss;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  register_entropy<Aten, Forward, Backward>(library, &cpu, &autograd, &forward_cpu, &backward_cpu);
}

}  // namespace rusttorch
