// The shape "input and target in, a loss out, reduced or elementwise": what every loss shares of CPU kernels, autograd and
// registration.
#pragma once
#include <ATen/core/Reduction.h>

#include "autocast.h"
#include "autograd.h"
#include "made_gradient.h"
#include "results.h"

namespace rusttorch {

// What a call of a loss says beside its two tensors.
struct LossCall {
  int64_t reduction = at::Reduction::Mean;
  double parameter = 0;                // beta, delta
  const Tensor* weight = nullptr;      // factors of the elements, or null
  const Tensor* pos_weight = nullptr;  // of binary_cross_entropy_with_logits
  bool is_weighted() const { return weight || pos_weight; }
};

// Arguments after input and target, whatever the schema.
inline const Tensor* pointer(const std::optional<Tensor>& tensor) {
  return tensor && tensor->defined() ? &*tensor : nullptr;
}
inline LossCall loss_call(int64_t reduction) { return {reduction}; }
inline LossCall loss_call(int64_t reduction, double parameter) { return {reduction, parameter}; }
inline LossCall loss_call(const std::optional<Tensor>& weight, int64_t reduction) {
  return {reduction, 0, pointer(weight)};
}
inline LossCall loss_call(const std::optional<Tensor>& weight, const std::optional<Tensor>& pos_weight,
                          int64_t reduction) {
  return {reduction, 0, pointer(weight), pointer(pos_weight)};
}
inline LossCall loss_call(const Tensor& weight, int64_t reduction) { return {reduction, 0, &weight}; }
inline LossCall loss_call(const Tensor& weight, int64_t reduction, double parameter) {
  return {reduction, parameter, &weight};
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
  bool takes_pos_weight = false;
  bool divides_by_weights = false;  // the mean is one over the sum of the weights, not over their number
};

// The loss, or an undefined tensor when the call is not ours or the loss is undefined there. Counts the decision.
// Written to `out` where there is one, which is ours alone if it has the result's form and shares no memory. `gradient`,
// if not null, becomes that of `self` for a grad_output of 1; then makes_gradient() must have said so.
Tensor loss(DecisionPoint& point, const LossPlan& plan, const Tensor& self, const Tensor& target, const LossCall& call,
            const Tensor* out = nullptr, Tensor* gradient = nullptr);
// Whether loss() can make the gradient, with the bits and the strides of loss_backward().
bool makes_gradient(const LossPlan& plan, const Tensor& self, const Tensor& target, const LossCall& call);
// The gradient of `self`, or an undefined tensor when the call is not ours; written to `grad_input` where there is one.
Tensor loss_backward(DecisionPoint& point, const LossPlan& plan, const Tensor& grad_output, const Tensor& self,
                     const Tensor& target, const LossCall& call, const Tensor* grad_input = nullptr);

// `Op` provides
//   using Aten, Backward                the operators
//   static constexpr const char* kName  of the graph node
//   static LossPlan plan(parameter)
//   static Tensor backward(grad_output, self, target, call)
// and may name another loss as Unweighted, whose decision points count its calls.
template <class Op>
struct LossNode : LockedNode {
  LossNode(const Tensor& input, const Tensor& target_, const LossCall& call_)
      : self(input, false), target(target_, false), call{call_.reduction, call_.parameter} {
    set_next_edges(torch::autograd::collect_next_edges(input));
    if (!call_.is_weighted()) return;
    for (const Tensor* const factors : {call_.weight, call_.pos_weight}) {
      weights.emplace_back(factors ? *factors : Tensor(), false);
    }
  }
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    const Tensor input = self.unpack(), y = target.unpack();  // which refuse what was overwritten, as ATen does
    const Tensor weight = weights.empty() ? Tensor() : weights[0].unpack();
    const Tensor pos_weight = weights.empty() ? Tensor() : weights[1].unpack();
    if (Tensor made = take_made_gradient(gradient, grads[0]); made.defined()) return {made};
    LossCall weighted = call;
    if (weight.defined()) weighted.weight = &weight;
    if (pos_weight.defined()) weighted.pos_weight = &pos_weight;
    return {Op::backward(grads[0], input, y, weighted)};
  }
  void release() override {
    gradient.reset();
    self.reset_data();
    target.reset_data();
    for (torch::autograd::SavedVariable& saved : weights) saved.reset_data();
  }
  std::string name() const override { return std::string("Torchext") + Op::kName + "Backward"; }

  Tensor gradient;  // for a grad_output of 1, or undefined; given away once
  torch::autograd::SavedVariable self, target;
  std::vector<torch::autograd::SavedVariable> weights;  // none, or weight and pos_weight
  LossCall call;
};

template <class Op, class Signature = typename Op::Aten::schema>
struct LossOperator;
template <class Op, class Signature = typename Op::Backward::schema>
struct LossBackwardOperator;

template <class Op, class... Args>
struct LossOperator<Op, Tensor(const Tensor&, const Tensor&, Args...)> {
  using Aten = typename Op::Aten;
  static DecisionPoint& point() {
    if constexpr (requires { typename Op::Unweighted; }) {
      return LossOperator<typename Op::Unweighted>::point();
    } else {
      static DecisionPoint& instance = *new DecisionPoint(handle<Aten>().operator_name().name.c_str() + kPrefixLength);
      return instance;
    }
  }
  static Tensor cpu(const Tensor& self, const Tensor& target, Args... args) {
    const LossCall call = loss_call(args...);
    Tensor result = loss(point(), Op::plan(call.parameter), self, target, call);
    return result.defined() ? result : Aten::call(self, target, args...);
  }
  template <class Out>
  static Tensor& out(const Tensor& self, const Tensor& target, Args... args, Tensor& out) {
    const LossCall call = loss_call(args...);
    if constexpr (requires { Op::kAtenReducesOut; }) {
      if (call.reduction != at::Reduction::None) {
        point().count(Decision::arguments);
        return Out::call(self, target, args..., out);
      }
    }
    const bool written = loss(point(), Op::plan(call.parameter), self, target, call, &out).defined();
    return written ? out : Out::call(self, target, args..., out);
  }
  // Our node differentiates with respect to the input alone, where its gradient is one kernel's: no sum over broadcast
  // dimensions, no cast.
  static Tensor autograd(c10::DispatchKeySet keys, const Tensor& self, const Tensor& target, Args... args) {
    const LossCall call = loss_call(args...);
    const bool graph = needs_graph(self, target, args...);
    if (belongs_to_aten<false>(self, target, args...)) return Aten::call(self, target, args...);
    if (graph && !(is_simple(self, target) && !target.requires_grad() && are_constant_factors(call.weight, self) &&
                   are_constant_factors(call.pos_weight, self))) {
      point().count(Decision::arguments);
      return Aten::call(self, target, args...);
    }
    NodePointer<LossNode<Op>> node;
    if (graph) node = new_node<LossNode<Op>>(self, target, call);
    Tensor result = [&] {
      at::AutoDispatchBelowADInplaceOrView guard;
      if (graph && may_make_gradient(self, target, args...)) {
        const LossPlan plan = Op::plan(call.parameter);
        if (makes_gradient(plan, self, target, call)) {
          const Tensor made = loss(point(), plan, self, target, call, nullptr, &node->gradient);
          if (made.defined()) LossBackwardOperator<Op>::point().count(Decision::taken);
          return made.defined() ? made : Aten::call(self, target, args...);
        }
      }
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
  static bool are_constant_factors(const Tensor* factors, const Tensor& self) {
    return !factors || (!factors->requires_grad() && factors->scalar_type() == self.scalar_type());
  }
};

template <class Op, class... Args>
struct LossBackwardOperator<Op, Tensor(const Tensor&, const Tensor&, const Tensor&, Args...)> {
  using Backward = typename Op::Backward;
  static DecisionPoint& point() {
    if constexpr (requires { typename Op::Unweighted; }) {
      return LossBackwardOperator<typename Op::Unweighted>::point();
    } else {
      static DecisionPoint& instance =
          *new DecisionPoint(handle<Backward>().operator_name().name.c_str() + sizeof("rusttorch::") - 1);
      return instance;
    }
  }
  static Tensor cpu(const Tensor& grad_output, const Tensor& self, const Tensor& target, Args... args) {
    const LossCall call = loss_call(args...);
    Tensor result = loss_backward(point(), Op::plan(call.parameter), grad_output, self, target, call);
    return result.defined() ? result : Backward::call(grad_output, self, target, args...);
  }
  template <class Out>
  static Tensor& out(const Tensor& grad_output, const Tensor& self, const Tensor& target, Args... args,
                     Tensor& grad_input) {
    const LossCall call = loss_call(args...);
    const LossPlan plan = Op::plan(call.parameter);
    const bool written = loss_backward(point(), plan, grad_output, self, target, call, &grad_input).defined();
    return written ? grad_input : Out::call(grad_output, self, target, args..., grad_input);
  }
};

template <class Out, class Function>
void register_out(torch::Library& library, Function* function) {
  define<Out>(library);
  implement<Out>(library, c10::DispatchKey::CPU, function);
  implement_version_bump<Out>(library);
  implement_pass_through<Out, false>(library);
}

template <class Op>
void register_loss(torch::Library& library) {
  using Aten = typename Op::Aten;
  using Backward = typename Op::Backward;
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &LossOperator<Op>::cpu);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &LossOperator<Op>::autograd);
  define<Backward>(library);
  implement<Backward>(library, c10::DispatchKey::CPU, &LossBackwardOperator<Op>::cpu);
  implement_pass_through<Backward, false>(library);
}

// The forms that write to a tensor of the caller, where ATen has them.
template <class Op, class Out>
void register_loss_out(torch::Library& library) {
  register_out<Out>(library, &LossOperator<Op>::template out<Out>);
}
template <class Op, class Out>
void register_loss_backward_out(torch::Library& library) {
  register_out<Out>(library, &LossBackwardOperator<Op>::template out<Out>);
}

}  // namespace rusttorch
