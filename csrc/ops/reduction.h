// What reductions share: which dimensions, the tensor seen as [outer][size][inner], and the autograd node.
// Where kept dimensions lie between reduced ones, several such steps: the last run of reduced ones first.
#pragma once
#include <c10/util/SmallVector.h>

#include "autograd.h"
#include "results.h"

namespace rusttorch {

// The arguments of a reduction in one form. No dims: all of them.
struct Reduction {
  c10::SmallVector<int64_t, 5> dims;
  bool keepdim = false;
  double correction = 0;   // var and std
  size_t most_steps = 64;  // that the operator can take; see ReductionShape::later
  bool is_ours = true;     // false: dtype= or another argument that no kernel knows

  void set_dims(at::OptionalIntArrayRef given) {
    if (given) dims.assign(given->begin(), given->end());
  }
};

// One run of reduced dimensions of a contiguous array.
struct ReductionStep {
  int64_t outer = 1, size = 1, inner = 1;
};
struct ReductionShape : ReductionStep {
  Tensor input;  // contiguous
  c10::SmallVector<int64_t, 5> result_sizes;
  c10::SmallVector<ReductionStep, 2> later;  // of the results [outer][inner] of the step before
};

// Nothing where no kernel can serve the call: no elements, a dim that torch refuses.
std::optional<ReductionShape> reduction_shape(const Tensor& self, const Reduction& reduction);

// Counts the decision.
std::optional<ReductionShape> decide_reduction(DecisionPoint& point, const Tensor& self, const Reduction& reduction);

// A tensor of a result's shape with the dims that were taken away from `sizes`, as size 1.
Tensor restore_dims(const Tensor& result, at::IntArrayRef sizes, const Reduction& reduction);
// Elements that go into one result; 0 for dims that torch refuses.
int64_t reduced_elements(at::IntArrayRef sizes, const Reduction& reduction);

// What a gradient is made from; self and result where the operator saves them.
struct ReductionGradient {
  const Tensor& grad;
  Tensor self, result;
  at::IntArrayRef sizes;
  const Reduction& reduction;
  Tensor restored(const Tensor& tensor) const { return restore_dims(tensor, sizes, reduction); }
};

// `Op` provides Aten, kOperator, reduction(self, arguments...), forward(shape, reduction), kName, kSavesSelf, kSavesResult,
// differentiable(self), false: a call that needs a graph is ATen's, and backward(gradient), by differentiable functions.
template <class Op>
struct ReductionNode : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    const Tensor input = Op::kSavesSelf ? self.unpack() : Tensor();
    const Tensor output = Op::kSavesResult ? result.unpack(getptr()) : Tensor();
    return {Op::backward(ReductionGradient{grads[0], input, output, sizes, reduction})};
  }
  void release() override {
    self.reset_data();
    result.reset_data();
  }
  std::string name() const override { return std::string("Torchext") + Op::kName + "Backward"; }

  torch::autograd::SavedVariable self, result;
  c10::SmallVector<int64_t, 5> sizes;  // of the input
  Reduction reduction;
};

template <class Op, class Signature = typename Op::Aten::schema>
struct ReductionKernels;

template <class Op, class... Args>
struct ReductionKernels<Op, Tensor(const Tensor&, Args...)> {
  using Aten = typename Op::Aten;
  static DecisionPoint& point() {
    static DecisionPoint& instance = *new DecisionPoint(Op::kOperator);
    return instance;
  }
  static Tensor cpu(const Tensor& self, Args... args) {
    const Reduction reduction = Op::reduction(self, args...);
    const auto shape = decide_reduction(point(), self, reduction);
    if (!shape) return Aten::call(self, args...);
    Tensor result = Op::forward(*shape, reduction);
    if (result.defined()) return result;
    point().count(Decision::arguments);
    return Aten::call(self, args...);
  }
  static Tensor autograd(c10::DispatchKeySet keys, const Tensor& self, Args... args) {
    if (belongs_to_aten<true>(self)) return Aten::call(self, args...);
    if (needs_graph(self))
      return Op::differentiable(self) ? with_graph(keys, self, args...) : Aten::call(self, args...);
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, args...);
  }

 private:
  static Tensor with_graph(c10::DispatchKeySet keys, const Tensor& self, Args... args) {
    const Reduction reduction = Op::reduction(self, args...);
    if (!reduction.is_ours || !is_floating_index(dtype_index(self.scalar_type())) || self.numel() == 0 ||
        self.dim() > kMostDims) {
      return Aten::call(self, args...);
    }
    auto node = new_node<ReductionNode<Op>>();
    node->set_next_edges(torch::autograd::collect_next_edges(self));
    node->reduction = reduction;
    node->sizes.assign(self.sizes().begin(), self.sizes().end());
    if (Op::kSavesSelf) node->self = torch::autograd::SavedVariable(self, false);
    Tensor result = [&] {
      at::AutoDispatchBelowADInplaceOrView guard;
      return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, args...);
    }();
    torch::autograd::set_history(result, node);
    if (Op::kSavesResult) node->result = torch::autograd::SavedVariable(result, true);
    return result;
  }
};

// `Outs` are served by ATen: their composition is all they have.
template <class Op, class... Outs>
void register_reduction(torch::Library& library) {
  using Aten = typename Op::Aten;
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &ReductionKernels<Op>::cpu);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &ReductionKernels<Op>::autograd);
  (define<Outs>(library), ...);
  (implement<Outs>(library, c10::DispatchKey::CPU, &Outs::call), ...);
  (implement_pass_through<Outs, true>(library), ...);
  (implement_version_bump<Outs>(library), ...);
}

}  // namespace rusttorch
