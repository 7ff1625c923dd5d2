// add, sub, mul, div: their overloads, what their gradients need, their registration.
#include "torch_headers.h"

#include <ATen/ops/add.h>
#include <ATen/ops/add_ops.h>
#include <ATen/ops/div_ops.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/mul_ops.h>
#include <ATen/ops/neg.h>
#include <ATen/ops/sub_ops.h>
#include <ATen/ops/where.h>

#include "arithmetic.h"
#include "autograd.h"

namespace rusttorch {

// torch's integer division dies with SIGFPE on INT_MIN / -1. These compositions divide by 1 there and negate, which wraps.
namespace ops {
using Mode = std::optional<std::string_view>;

bool is_wide(const Tensor& self) { return self.scalar_type() == at::kInt || self.scalar_type() == at::kLong; }
bool may_trap(const Tensor& self, const Tensor& other, const Mode& mode) {
  return mode && is_wide(self) && at::isIntegralType(other.scalar_type(), false) &&
         at::isSignedType(other.scalar_type());
}
bool may_trap(const Tensor& self, const Scalar& other, const Mode& mode) {
  return mode && is_wide(self) && other.isIntegral(false) && other.equal(-1);
}
// The layout of the result is that of a division of self by other: other operands come second.
Tensor guarded_division(const Tensor& self, const Tensor& other, const Mode& mode) {
  if (!may_trap(self, other, mode)) return at::_ops::div_Tensor_mode::call(self, other, mode);
  const Tensor minus_one = at::eq(other, -1);
  const Tensor quotient = at::_ops::div_Tensor_mode::call(self, at::where(minus_one, 1, other), mode);
  return at::mul(quotient, at::where(minus_one, other, 1));
}
Tensor guarded_division(const Tensor& self, const Scalar& other, const Mode& mode) {
  return may_trap(self, other, mode) ? at::neg(self) : at::_ops::div_Scalar_mode::call(self, other, mode);
}

struct div_Tensor_mode : at::_ops::div_Tensor_mode {
  static Tensor call(const Tensor& self, const Tensor& other, Mode mode) { return guarded_division(self, other, mode); }
};
struct div_Scalar_mode : at::_ops::div_Scalar_mode {
  static Tensor call(const Tensor& self, const Scalar& other, Mode mode) { return guarded_division(self, other, mode); }
};
struct div__Tensor_mode : at::_ops::div__Tensor_mode {
  static Tensor& call(Tensor& self, const Tensor& other, Mode mode) {
    return may_trap(self, other, mode) ? self.copy_(guarded_division(self, other, mode))
                                       : at::_ops::div__Tensor_mode::call(self, other, mode);
  }
};
struct div__Scalar_mode : at::_ops::div__Scalar_mode {
  static Tensor& call(Tensor& self, const Scalar& other, Mode mode) {
    return may_trap(self, other, mode) ? self.copy_(guarded_division(self, other, mode))
                                       : at::_ops::div__Scalar_mode::call(self, other, mode);
  }
};
struct div_out_mode : at::_ops::div_out_mode {
  static Tensor& call(const Tensor& self, const Tensor& other, Mode mode, Tensor& out) {
    if (!may_trap(self, other, mode)) return at::_ops::div_out_mode::call(self, other, mode, out);
    return at::add_out(out, guarded_division(self, other, mode), 0);
  }
};
}  // namespace ops

namespace {

template <Arithmetic kOperation, class Aten, class Signature = typename Aten::schema>
struct ArithmeticCpu;

template <Arithmetic kOperation, class Aten, class Result, class... Args>
struct ArithmeticCpu<kOperation, Aten, Result(Args...)> {
  static Result call(Args... args) {
    BinaryCall binary{kOperation};
    (take<Args>(binary, args), ...);
    Tensor result;
    if (!run(binary, result)) return Aten::call(args...);
    if constexpr (std::is_reference_v<Result>) {
      return *binary.out;
    } else {
      return result;
    }
  }
};

Tensor times(const Tensor& a, const Tensor& b) { return handle<at::_ops::mul_Tensor>().call(a, b); }
Tensor times(const Tensor& a, const Scalar& b) { return handle<at::_ops::mul_Scalar>().call(a, b); }
Tensor over(const Tensor& a, const Tensor& b) { return handle<at::_ops::div_Tensor>().call(a, b); }
Tensor over(const Tensor& a, const Scalar& b) { return handle<at::_ops::div_Scalar>().call(a, b); }

// Gradients of a binary operator. The engine sums each over broadcast dimensions and casts it to the input's dtype. The
// operators called here differentiate themselves, so double backward needs no more code.
struct BinaryNode : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    const Tensor& grad = grads[0];
    const bool wants_self = task_should_compute_output(0);
    const bool wants_other = !other_scalar && task_should_compute_output(1);
    torch::autograd::variable_list result(other_scalar ? 1 : 2);
    if (!grad.defined()) return result;
    switch (operation) {
      case Arithmetic::add:
      case Arithmetic::sub:
        if (wants_self) result[0] = grad;
        if (wants_other) {
          const bool plain = operation == Arithmetic::add && alpha.equal(1);
          result[1] = plain ? grad : times(grad, operation == Arithmetic::add ? alpha : -alpha);
        }
        break;
      case Arithmetic::mul:
        if (wants_self) result[0] = other_scalar ? times(grad, *other_scalar) : times(grad, other.unpack());
        if (wants_other) result[1] = times(grad, self.unpack());
        break;
      case Arithmetic::div: {  // d/db a/b = -(a/b)/b, the form ATen uses
        if (other_scalar) {
          if (wants_self) result[0] = over(grad, *other_scalar);
          break;
        }
        // Unpacked once: hooks on saved tensors, as those of checkpointing, allow no more.
        const Tensor divisor = other.unpack();
        if (wants_self) result[0] = over(grad, divisor);
        if (wants_other) { result[1] = times(at::neg(grad), over(over(self.unpack(), divisor), divisor)); }
        break;
      }
    }
    return result;
  }
  void release() override {
    self.reset_data();
    other.reset_data();
  }
  std::string name() const override {
    static constexpr const char* names[] = {"Add", "Sub", "Mul", "Div"};
    return std::string("Torchext") + names[static_cast<int>(operation)] + "Backward";
  }

  Arithmetic operation = Arithmetic::add;
  torch::autograd::SavedVariable self, other;
  std::optional<Scalar> other_scalar;
  Scalar alpha = 1;
};

NodePointer<BinaryNode> make_node(const BinaryCall& call) {
  auto node = new_node<BinaryNode>();
  node->operation = call.operation;
  if (call.alpha) node->alpha = *call.alpha;
  if (call.other_scalar) {
    node->other_scalar = *call.other_scalar;
    node->set_next_edges(torch::autograd::collect_next_edges(*call.self));
    return node;
  }
  node->set_next_edges(torch::autograd::collect_next_edges(*call.self, *call.other));
  const bool product = call.operation == Arithmetic::mul || call.operation == Arithmetic::div;
  const bool self_grad = call.self->requires_grad(), other_grad = call.other->requires_grad();
  if (product && other_grad) node->self = torch::autograd::SavedVariable(*call.self, false);
  if (product && (self_grad || (other_grad && call.operation == Arithmetic::div))) {
    node->other = torch::autograd::SavedVariable(*call.other, false);
  }
  return node;
}

bool is_real_floating(const Tensor* tensor) { return !tensor || is_floating_index(dtype_index(tensor->scalar_type())); }

template <Arithmetic kOperation, class Aten, class Signature = typename Aten::schema>
struct ArithmeticAutograd;

template <Arithmetic kOperation, class Aten, class... Args>
struct ArithmeticAutograd<kOperation, Aten, Tensor(Args...)> {
  static Tensor call(c10::DispatchKeySet keys, Args... args) {
    BinaryCall binary{kOperation};
    (take<Args>(binary, args), ...);
    const bool graph = needs_graph(args...);
    const bool ours = is_real_floating(binary.self) && is_real_floating(binary.other) && !binary.rounding_mode &&
                      !(binary.other_scalar && binary.other_scalar->isComplex());
    if (belongs_to_aten<true>(args...) || (graph && !ours)) return Aten::call(args...);
    NodePointer<BinaryNode> node;
    if (graph) node = make_node(binary);
    Tensor result = [&] {
      at::AutoDispatchBelowADInplaceOrView guard;
      return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, args...);
    }();
    if (node) torch::autograd::set_history(result, node);
    return result;
  }
};

template <Arithmetic kOperation, class Aten>
void register_overload(torch::Library& library) {
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &ArithmeticCpu<kOperation, Aten>::call);
  if constexpr (is_mutable<Aten>()) {
    implement_pass_through<Aten, true>(library);  // with gradients: ATen, which knows what to save before it is gone
    implement_version_bump<Aten>(library);
  } else {
    implement<Aten>(library, c10::DispatchKey::AutogradCPU, &ArithmeticAutograd<kOperation, Aten>::call);
  }
}

template <Arithmetic kOperation, class... Overloads>
void register_overloads(torch::Library& library) {
  (register_overload<kOperation, Overloads>(library), ...);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  using namespace at::_ops;
  register_overloads<Arithmetic::add, add_Tensor, add_Scalar, add__Tensor, add__Scalar, add_out>(library);
  register_overloads<Arithmetic::sub, sub_Tensor, sub_Scalar, sub__Tensor, sub__Scalar, sub_out>(library);
  register_overloads<Arithmetic::mul, mul_Tensor, mul_Scalar, mul__Tensor, mul__Scalar, mul_out>(library);
  register_overloads<Arithmetic::div, div_Tensor, div_Scalar, div__Tensor, div__Scalar, div_out>(library);
  register_overloads<Arithmetic::div, ops::div_Tensor_mode, ops::div_Scalar_mode, ops::div__Tensor_mode,
                     ops::div__Scalar_mode, ops::div_out_mode>(library);
}

}  // namespace rusttorch
