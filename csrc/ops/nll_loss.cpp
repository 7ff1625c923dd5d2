// nll_loss_nd of (C) and (N, C): a gather, and its gradient, one entry a row.
#include "torch_headers.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/nll_loss_backward_ops.h>
#include <ATen/ops/nll_loss_nd_ops.h>

#include <cstring>

#include "entropy_registration.h"
#include "results.h"

namespace rusttorch {
namespace {

using Aten = at::_ops::nll_loss_nd;
using Forward = ops::_nll_loss_forward;
using Backward = at::_ops::nll_loss_backward;

// Nanoseconds per row: a cache line of its own each time; and per byte of a gradient's zeros.
constexpr double kRowCost = 3, kByteCost = 0.04;

DecisionPoint& point() {
  static DecisionPoint& instance = *new DecisionPoint("nll_loss_nd");
  return instance;
}

Decision decide(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction) {
  const Decision decision = decide_entropy(self, target, weight, reduction);
  return decision == Decision::taken && self.dim() > 2 ? Decision::arguments : decision;
}

std::tuple<Tensor, Tensor> forward(const Tensor& self, const Tensor& target_, const Tensor& weight_, int64_t reduction,
                                   int64_t ignore_index) {
  const Tensor input = self.contiguous(), targets = target_.contiguous();
  const Tensor weights = weight_.defined() ? weight_.contiguous() : weight_;
  const at::IntArrayRef none = {};
  const bool reduces = reduction != at::Reduction::None;
  const Tensor loss = empty_result(reduces ? none : targets.sizes(), self.scalar_type());
  const Tensor total_weight = empty_result(none, self.scalar_type());
  const Units units(split_at(input, class_dim(input)));
  LossSums sums(units.count);
  with_type(self.scalar_type(), [&]<class T, class C>(T, C) {
    T* const out = static_cast<T*>(loss.data_ptr());
    const T* const in = static_cast<const T*>(input.const_data_ptr());
    const T* const weight = weights.defined() ? static_cast<const T*>(weights.const_data_ptr()) : nullptr;
    const int64_t* const target = targets.const_data_ptr<int64_t>();
    const double nanoseconds = kRowCost * static_cast<double>(std::min(units.width, targets.numel()));
    for_each_range(units.count, nanoseconds, [&](int64_t begin, int64_t end) {
      for (int64_t index = begin; index < end; ++index) {
        const Units::Unit unit = units.unit(index);
        if (any_out_of_bounds(target + unit.first, unit.count, ignore_index, units.shape.size)) {
          sums.out_of_bounds = true;
          return;
        }
        double total = 0, total_of_weights = 0;
        for (int64_t k = unit.first; k < unit.first + unit.count; ++k) {
          C value = 0;
          if (target[k] != ignore_index) {
            const C w = weight ? static_cast<C>(weight[target[k]]) : C(1);
            value = -static_cast<C>(in[k * units.shape.size + target[k]]) * w;
            total += value;
            total_of_weights += w;
          }
          if (!reduces) out[k] = static_cast<T>(value);
        }
        sums.put(index, total, total_of_weights);
      }
    });
    if (sums.out_of_bounds) refuse_targets(target, targets.numel(), ignore_index, units.shape.size);
    // As in ATen, which reports no weight for losses that are not reduced.
    *static_cast<T*>(total_weight.data_ptr()) = static_cast<T>(static_cast<C>(reduces ? sums.total(1) : 0));
    if (!reduces) return;
    const double divisor = reduction == at::Reduction::Mean ? sums.total(1) : 1;
    *out = static_cast<T>(static_cast<C>(sums.total(0) / divisor));
  });
  return {loss, total_weight};
}

Tensor cpu(const Tensor& self, const Tensor& target, const std::optional<Tensor>& weight, int64_t reduction,
           c10::SymInt ignore_index) {
  if (!point().count(decide(self, target, tensor_of(weight), reduction))) {
    return Aten::call(self, target, weight, reduction, std::move(ignore_index));
  }
  return std::get<0>(forward(self, target, tensor_of(weight), reduction, ignore_index.expect_int()));
}

std::tuple<Tensor, Tensor> forward_cpu(const Tensor& self, const Tensor& target, const std::optional<Tensor>& weight,
                                       int64_t reduction, c10::SymInt ignore_index) {
  if (!point().count(decide(self, target, tensor_of(weight), reduction))) {
    return Forward::call(self, target, weight, reduction, std::move(ignore_index));
  }
  return forward(self, target, tensor_of(weight), reduction, ignore_index.expect_int());
}

Tensor backward_cpu(const Tensor& grad_output, const Tensor& self, const Tensor& target,
                    const std::optional<Tensor>& weight, int64_t reduction, c10::SymInt ignore_symbol,
                    const Tensor& total_weight) {
  static DecisionPoint& backward_point = *new DecisionPoint("nll_loss_backward");
  Decision decision = decide(self, target, tensor_of(weight), reduction);
  if (decision == Decision::taken) {
    const bool fits =
        total_weight.numel() == 1 &&
        (reduction == at::Reduction::None ? grad_output.sizes() == target.sizes() : grad_output.dim() == 0);
    if (!fits) decision = Decision::arguments;
    else if (grad_output.scalar_type() != self.scalar_type() || total_weight.scalar_type() != self.scalar_type())
      decision = Decision::dtype;
  }
  if (!backward_point.count(decision)) {
    return Backward::call(grad_output, self, target, weight, reduction, std::move(ignore_symbol), total_weight);
  }
  const int64_t ignore_index = ignore_symbol.expect_int();
  const Tensor targets = target.contiguous(), grads = grad_output.contiguous();
  const Tensor weights = weight ? weight->contiguous() : Tensor();
  Tensor grad_input = empty_result(self.sizes(), self.scalar_type());
  const Units units(split_at(grad_input, class_dim(self)));
  const int64_t grad_step = reduction == at::Reduction::None ? 1 : 0, size = units.shape.size;
  with_type(self.scalar_type(), [&]<class T, class C>(T, C) {
    T* const out = static_cast<T*>(grad_input.data_ptr());
    const T* const grad = static_cast<const T*>(grads.const_data_ptr());
    const T* const given = weights.defined() ? static_cast<const T*>(weights.const_data_ptr()) : nullptr;
    const int64_t* const target_data = targets.const_data_ptr<int64_t>();
    const C divisor =
        reduction == at::Reduction::Mean ? static_cast<C>(*static_cast<const T*>(total_weight.const_data_ptr())) : C(1);
    const int64_t unit_rows = std::min(units.width, targets.numel());
    const double nanoseconds =
        kRowCost * double(unit_rows) + kByteCost * static_cast<double>(unit_rows * size * int64_t(sizeof(T)));
    for_each_range(units.count, nanoseconds, [&](int64_t begin, int64_t end) {
      for (int64_t index = begin; index < end; ++index) {
        const Units::Unit unit = units.unit(index);
        std::memset(static_cast<void*>(out + unit.offset), 0, size_t(unit.count * size) * sizeof(T));
        for (int64_t k = unit.first; k < unit.first + unit.count; ++k) {
          const int64_t t = target_data[k];
          if (t == ignore_index || uint64_t(t) >= uint64_t(size)) continue;  // out of bounds was refused before
          const C w = given ? static_cast<C>(given[t]) : C(1);
          out[k * size + t] = static_cast<T>(-w * static_cast<C>(grad[k * grad_step]) / divisor);
        }
      }
    });
  });
  return grad_input;
}

struct Node : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    const Tensor unpacked = weight.unpack();
    return {handle<Backward>().call(grads[0], self.unpack(), target.unpack(),
                                    unpacked.defined() ? std::optional<Tensor>(unpacked) : std::nullopt, reduction,
                                    ignore_index, total_weight.unpack())};
  }
  void release() override {
    for (auto* saved : {&self, &target, &weight, &total_weight}) saved->reset_data();
  }
  std::string name() const override { return "TorchextNllLossBackward"; }

  torch::autograd::SavedVariable self, target, weight, total_weight;
  int64_t reduction = 0;
  c10::SymInt ignore_index;
};

Tensor autograd(c10::DispatchKeySet keys, const Tensor& self, const Tensor& target, const std::optional<Tensor>& weight,
                int64_t reduction, c10::SymInt ignore_index) {
  const Tensor weights = tensor_of(weight);
  const bool graph = needs_graph(self);
  if (belongs_to_aten<false>(self, target) || (weights.defined() && has_tangent(weights)) ||
      is_beyond_input(target, weights)) {
    return Aten::call(self, target, weight, reduction, std::move(ignore_index));
  }
  // ATen's own operators are as good for a compiler, and sizes of traced tensors must not be compared here.
  const bool traced = is_traced(self) || is_traced(target) || c10::impl::dispatch_mode_enabled();
  if (traced) return Aten::call(self, target, weight, reduction, std::move(ignore_index));
  if (!graph) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, target, weight, reduction,
                                     std::move(ignore_index));
  }
  const Decision decision = decide(self, target, weights, reduction);
  if (decision != Decision::taken) {
    point().count(decision);
    return Aten::call(self, target, weight, reduction, std::move(ignore_index));
  }
  const auto [loss, total_weight] = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Forward>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, target, weight, reduction,
                                        ignore_index);
  }();
  auto node = new_node<Node>();
  node->set_next_edges(torch::autograd::collect_next_edges(self));
  using torch::autograd::SavedVariable;
  node->self = SavedVariable(self, false);
  node->target = SavedVariable(target, false);
  node->weight = SavedVariable(weights, false);
  node->total_weight = SavedVariable(total_weight, false);
  node->reduction = reduction;
  node->ignore_index = std::move(ignore_index);
  torch::autograd::set_history(loss, node);
  return loss;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  register_entropy<Aten, Forward, Backward>(library, &cpu, &autograd, &forward_cpu, &backward_cpu);
}

}  // namespace rusttorch
