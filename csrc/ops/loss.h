// The shape "input and target in, a loss out, reduced or elementwise": what every loss shares of CPU kernels, autograd and
// registration.
#pragma once
#include <ATen/core/Reduction.h>

#include "autocast.h"
#include "autograd.h"
#include "results.h"

namespace rusttorch {

// What a call of a loss says beside its two tensors.
struct LossCall {
  int64_t reduction = at::Reduction::Mean;
  double parameter = 0;   // beta, delta
  bool weighted = false;  // weight or pos_weight is there: ATen's
};

// Arguments after input and target, whatever the schema.
inline LossCall loss_call(int64_t reduction) { return {reduction}; }
inline LossCall loss_call(int64_t reduction, double parameter) { return {reduction, parameter}; }
inline LossCall loss_call(const std::optional<Tensor>& weight, int64_t reduction) {
  return {reduction, 0, weight && weight->defined()};
}
inline LossCall loss_call(const std::optional<Tensor>& weight, const std::optional<Tensor>& pos_weight,
                          int64_t reduction) {
  return {reduction, 0, (weight && weight->defined()) || (pos_weight && pos_weight->defined())};
}

// Rows of the active table and what an element costs on one core, in nanoseconds.
struct LossPlan {
  const LossKernel* elements = nullptr;  // null: not ours
  const LossSumKernel* sum = nullptr;
  const LossBackwardKernel* backward = nullptr;
  double nanoseconds = 0.1;
  double backward_nanoseconds = 0.1;
  // ATen's gradient is contiguous: always, or when it comes from a mean.
  bool contiguous_gradient = false;
  bool contiguous_gradient_of_mean = false;
};

// The loss, or an undefined tensor when the call is not ours or the loss is undefined there. Counts the decision.
Tensor loss(DecisionPoint& point, const LossPlan& plan, const Tensor& self, const Tensor& target, const LossCall& call);
// The gradient of `self`, or an undefined tensor when the call is not ours.
Tensor loss_backward(DecisionPoint& point, const LossPlan& plan, const Tensor& grad_output, const Tensor& self,
                     const Tensor& target, const LossCall& call);

// `Op` provides
//   using Aten, Backward                the operators
//   static constexpr const char* kName  of the graph node
//   static LossPlan plan(parameter)
//   static Tensor backward(grad_output, self, target, call)
template <class Op>
struct LossNode : torch::autograd::Node {
  LossNode(const Tensor& input, const Tensor& target_, const LossCall& call_)
      : self(input, false), target(target_, false), call(call_) {
    set_next_edges(torch::autograd::collect_next_edges(input));
  }
  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    return {Op::backward(grads[0], self.unpack(), target.unpack(), call)};
  }
  void release_variables() override {
    self.reset_data();
    target.reset_data();
  }
  std::string name() const override { return std::string("Torchext") + Op::kName + "Backward"; }

  torch::autograd::SavedVariable self, target;
  LossCall call;
};

template <class Op, class Signature = typename Op::Aten::schema>
struct LossOperator;

template <class Op, class... Args>
struct LossOperator<Op, Tensor(const Tensor&, const Tensor&, Args...)> {
  using Aten = typename Op::Aten;
  static DecisionPoint& point() {
    static DecisionPoint& instance = *new DecisionPoint(handle<Aten>().operator_name().name.c_str() + kPrefixLength);
    return instance;
  }
  static Tensor cpu(const Tensor& self, const Tensor& target, Args... args) {
    const LossCall call = loss_call(args...);
    Tensor result = loss(point(), Op::plan(call.parameter), self, target, call);
    return result.defined() ? result : Aten::call(self, target, args...);
  }
  // Our node differentiates with respect to the input alone, where its gradient is one kernel's: no sum over broadcast
  // dimensions, no cast.
  static Tensor autograd(c10::DispatchKeySet keys, const Tensor& self, const Tensor& target, Args... args) {
    const LossCall call = loss_call(args...);
    const bool graph = needs_graph(self, target, args...);
    if (belongs_to_aten<false>(self, target, args...)) return Aten::call(self, target, args...);
    if (graph && (call.weighted || target.requires_grad() || !is_simple(self, target))) {
      point().count(Decision::arguments);
      return Aten::call(self, target, args...);
    }
    NodePointer<LossNode<Op>> node;
    if (graph) node = new_node<LossNode<Op>>(self, target, call);
    Tensor result = [&] {
      at::AutoDispatchBelowADInplaceOrView guard;
      return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, target, args...);
    }();
    if (node) torch::autograd::set_history(result, node);
    return result;
  }

 private:
  static constexpr int kPrefixLength = sizeof("rusttorch::") - 1;
  static bool is_simple(const Tensor& self, const Tensor& target) {
    return is_floating_index(dtype_index(self.scalar_type())) && self.scalar_type() == target.scalar_type() &&
           self.sizes() == target.sizes();
  }
};

template <class Op, class Signature = typename Op::Backward::schema>
struct LossBackwardOperator;

template <class Op, class... Args>
struct LossBackwardOperator<Op, Tensor(const Tensor&, const Tensor&, const Tensor&, Args...)> {
  using Backward = typename Op::Backward;
  static Tensor cpu(const Tensor& grad_output, const Tensor& self, const Tensor& target, Args... args) {
    static DecisionPoint& point =
        *new DecisionPoint(handle<Backward>().operator_name().name.c_str() + sizeof("rusttorch::") - 1);
    const LossCall call = loss_call(args...);
    Tensor result = loss_backward(point, Op::plan(call.parameter), grad_output, self, target, call);
    return result.defined() ? result : Backward::call(grad_output, self, target, args...);
  }
};

template <class Op>
void register_loss(torch::Library& library) {
  using Aten = typename Op::Aten;
  using Backward = typename Op::Backward;
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &LossOperator<Op>::cpu);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &LossOperator<Op>::autograd);
  implement_autocast_to_float32<Aten>(library);
  define<Backward>(library);
  implement<Backward>(library, c10::DispatchKey::CPU, &LossBackwardOperator<Op>::cpu);
  implement_pass_through<Backward, false>(library);
}

}  // namespace rusttorch
