// max, min, amax, amin, argmax, argmin. NaN is the extreme of all; of equal ones the first counts.
#include "torch_headers.h"

#include "extremes.h"

#include <ATen/ops/amax_ops.h>
#include <ATen/ops/amin_ops.h>
#include <ATen/ops/argmax_ops.h>
#include <ATen/ops/argmin_ops.h>
#include <ATen/ops/max_ops.h>
#include <ATen/ops/min_ops.h>
#include <ATen/ops/value_selecting_reduction_backward.h>

#include "own_schemas.h"

namespace rusttorch {
namespace {

Tensor values_of(const ReductionShape& shape, bool smallest) {
  Tensor values = empty_result(shape.result_sizes, shape.input.scalar_type());
  find_extremes(shape, smallest, values.data_ptr(), nullptr);
  return values;
}

// Equal extremes share the gradient. In other dtypes and layouts ours would be slower than ATen's.
template <bool whole>
struct Shared {
  static constexpr bool kSavesSelf = true, kSavesResult = true;
  static bool differentiable(const Tensor& self) {
    return (self.scalar_type() == at::kFloat || self.scalar_type() == at::kDouble) && self.is_contiguous();
  }
  static Tensor backward(const ReductionGradient& gradient) {
    return handle<ops::_extremes_backward>().call(gradient.restored(gradient.grad), gradient.self,
                                                  gradient.restored(gradient.result), whole);
  }
};

template <bool smallest>
struct Whole : Shared<true> {
  using Aten = std::conditional_t<smallest, at::_ops::min, at::_ops::max>;
  static constexpr const char* kOperator = smallest ? "min" : "max";
  static constexpr const char* kName = smallest ? "Min" : "Max";
  static Reduction reduction(const Tensor&) { return {}; }
  static Tensor forward(const ReductionShape& shape, const Reduction&) { return values_of(shape, smallest); }
};

template <bool smallest>
struct AlongDims : Shared<false> {
  using Aten = std::conditional_t<smallest, at::_ops::amin, at::_ops::amax>;
  static constexpr const char* kOperator = smallest ? "amin" : "amax";
  static constexpr const char* kName = smallest ? "Amin" : "Amax";
  static Reduction reduction(const Tensor&, at::IntArrayRef dims, bool keepdim) {
    Reduction result{.keepdim = keepdim};
    result.set_dims(dims);
    return result;
  }
  static Tensor forward(const ReductionShape& shape, const Reduction&) { return values_of(shape, smallest); }
};

template <bool smallest>
struct Argument {
  using Aten = std::conditional_t<smallest, at::_ops::argmin, at::_ops::argmax>;
  static DecisionPoint& point() {
    static DecisionPoint& instance = *new DecisionPoint(smallest ? "argmin" : "argmax");
    return instance;
  }
  static Tensor cpu(const Tensor& self, std::optional<int64_t> dim, bool keepdim) {
    Reduction reduction{.keepdim = keepdim};
    if (dim) reduction.dims.push_back(*dim);
    // Without a dim, places count in the logical order of the elements, whatever the layout.
    const auto shape = decide_reduction(point(), dim ? self : self.contiguous(), reduction);
    if (!shape) return Aten::call(self, dim, keepdim);
    Tensor places = empty_result(shape->result_sizes, at::kLong);
    find_extremes(*shape, smallest, nullptr, places.data_ptr<int64_t>());
    return places;
  }
};

// max.dim and min.dim
struct SelectionNode : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    return {at::value_selecting_reduction_backward(grads[0], dim, places.unpack(getptr()), sizes, keepdim)};
  }
  void release() override { places.reset_data(); }
  std::string name() const override { return "TorchextSelectionBackward"; }
  torch::autograd::SavedVariable places;
  std::vector<int64_t> sizes;
  int64_t dim = 0;
  bool keepdim = false;
};

template <bool smallest>
struct WithPlaces {
  using Aten = std::conditional_t<smallest, at::_ops::min_dim, at::_ops::max_dim>;
  using AtenOut = std::conditional_t<smallest, at::_ops::min_dim_min, at::_ops::max_dim_max>;
  using Result = std::tuple<Tensor, Tensor>;
  static Result cpu(const Tensor& self, int64_t dim, bool keepdim) {
    Reduction reduction{.keepdim = keepdim};
    reduction.dims.push_back(dim);
    const auto shape = decide_reduction(ReductionKernels<Whole<smallest>>::point(), self, reduction);
    if (!shape) return Aten::call(self, dim, keepdim);
    Tensor values = empty_result(shape->result_sizes, self.scalar_type());
    Tensor places = empty_result(shape->result_sizes, at::kLong);
    find_extremes(*shape, smallest, values.data_ptr(), places.data_ptr<int64_t>());
    return {values, places};
  }
  static Result autograd(c10::DispatchKeySet keys, const Tensor& self, int64_t dim, bool keepdim) {
    const bool graph = needs_graph(self);
    const bool ours = is_floating_index(dtype_index(self.scalar_type())) && self.dim() > 0;
    if (belongs_to_aten<true>(self) || (graph && !ours)) return Aten::call(self, dim, keepdim);
    NodePointer<SelectionNode> node;
    if (graph) {
      node = new_node<SelectionNode>();
      node->set_next_edges(torch::autograd::collect_next_edges(self));
      node->sizes = self.sizes().vec();
      node->dim = dim;
      node->keepdim = keepdim;
    }
    Result result = [&] {
      at::AutoDispatchBelowADInplaceOrView guard;
      return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, dim, keepdim);
    }();
    if (node) {
      torch::autograd::set_history(std::get<0>(result), node);
      node->places = torch::autograd::SavedVariable(std::get<1>(result), true);
    }
    return result;
  }
};

// Operators whose places alone are the result have no gradient.
template <bool smallest>
void register_places(torch::Library& library) {
  using Op = Argument<smallest>;
  using Out = std::conditional_t<smallest, at::_ops::argmin_out, at::_ops::argmax_out>;
  define<typename Op::Aten>(library);
  implement<typename Op::Aten>(library, c10::DispatchKey::CPU, &Op::cpu);
  implement_pass_through<typename Op::Aten, true>(library);
  define<Out>(library);
  implement<Out>(library, c10::DispatchKey::CPU, &Out::call);
  implement_pass_through<Out, true>(library);
  implement_version_bump<Out>(library);
}

template <bool smallest>
void register_selection(torch::Library& library) {
  using Op = WithPlaces<smallest>;
  define<typename Op::Aten>(library);
  implement<typename Op::Aten>(library, c10::DispatchKey::CPU, &Op::cpu);
  implement<typename Op::Aten>(library, c10::DispatchKey::AutogradCPU, &Op::autograd);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  register_reduction<Whole<false>, at::_ops::max_unary_out>(library);
  register_reduction<Whole<true>, at::_ops::min_unary_out>(library);
  register_selection<false>(library);
  register_selection<true>(library);
  register_reduction<AlongDims<false>, at::_ops::amax_out>(library);
  register_reduction<AlongDims<true>, at::_ops::amin_out>(library);
  register_places<false>(library);
  register_places<true>(library);
}

}  // namespace rusttorch
