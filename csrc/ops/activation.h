// The shape "one tensor in, one out, elementwise": CPU kernels and registration shared by all activations.
#pragma once
#include <ATen/ops/mul.h>

#include "autograd.h"
#include "elementwise.h"

namespace rusttorch {

// Base of an activation; see UnaryNode (autograd.h) for what the constants mean. `Self` adds `plan(arguments...)`, and
// `backward_plan(arguments...)` where the backward operator is its own.
template <class Self, class AtenForward, class AtenBackward>
struct Activation {
  using Aten = AtenForward;
  using Backward = AtenBackward;
  static constexpr bool kFusible = false, kSavesResult = false, kInplaceSavesResult = false;
  // The strides of ATen's backward on the meta device are those of the saved tensor, on the CPU those of grad_output.
  static constexpr bool kMetaBackwardDiffers = false;

  // Integers have no derivative and complex numbers a conjugated one: both are ATen's.
  static bool differentiable(const Tensor& self) { return is_floating_index(dtype_index(self.scalar_type())); }

  template <class... Args>
  static Tensor backward(const Tensor& grad_output, const Tensor& saved, bool /*saved_is_result*/,
                         const Args&... args) {
    return handle<Backward>().call(grad_output, saved, args...);
  }
  static DecisionPoint& point() {
    static DecisionPoint& instance = *new DecisionPoint(handle<Aten>().operator_name().name.c_str() + kPrefixLength);
    return instance;
  }
  static DecisionPoint& backward_point() {
    static DecisionPoint& instance =
        *new DecisionPoint(handle<Backward>().operator_name().name.c_str() + kPrefixLength);
    return instance;
  }

 private:
  static constexpr int kPrefixLength = sizeof("rusttorch::") - 1;
};

template <class Op, class Signature>
struct ActivationCpu;

template <class Op, class... Args>
struct ActivationCpu<Op, Tensor(const Tensor&, Args...)> {
  static Tensor functional(const Tensor& self, Args... args) {
    Tensor result = unary(Op::point(), Op::plan(args...), self);
    return result.defined() ? result : Op::Aten::call(self, args...);
  }
  template <class Inplace>
  static Tensor& in_place(Tensor& self, Args... args) {
    return unary_out(Op::point(), Op::plan(args...), self, self) ? self : Inplace::call(self, args...);
  }
  template <class Out>
  static Tensor& out(const Tensor& self, Args... args, Tensor& out) {
    return unary_out(Op::point(), Op::plan(args...), self, out) ? out : Out::call(self, args..., out);
  }
};

// The tensors of a backward schema are grad_output and the saved one, in this order; everything else goes to the plan.
template <class Op, class Signature>
struct BackwardCpu;

template <class Op, class... Args>
struct BackwardCpu<Op, Tensor(const Tensor&, Args...)> {
  static Tensor call(const Tensor& grad_output, Args... args) {
    const Tensor& saved = first_tensor(args...);
    const BackwardPlan plan = std::apply([](const auto&... rest) { return Op::backward_plan(rest...); },
                                         std::tuple_cat(other_than_tensor(args)...));
    Tensor result = backward(Op::backward_point(), plan, grad_output, saved);
    return result.defined() ? result : Op::Backward::call(grad_output, args...);
  }
  static Tensor meta(const Tensor& grad_output, Args... args) { return at::mul(grad_output, first_tensor(args...)); }

 private:
  template <class First, class... Rest>
  static const Tensor& first_tensor(const First& first, const Rest&... rest) {
    if constexpr (std::is_same_v<First, Tensor>) {
      return first;
    } else {
      return first_tensor(rest...);
    }
  }
  template <class T>
  static auto other_than_tensor(const T& argument) {
    if constexpr (std::is_same_v<T, Tensor>) {
      return std::tuple<>();
    } else {
      return std::tuple<T>(argument);
    }
  }
};

template <class Op, class Variant>
void register_variant(torch::Library& library) {
  using Cpu = ActivationCpu<Op, typename Op::Aten::schema>;
  using Autograd = UnaryAutograd<Op>;
  define<Variant>(library);
  implement_version_bump<Variant>(library);
  if constexpr (std::string_view(Variant::overload_name) == "out") {
    implement<Variant>(library, c10::DispatchKey::CPU, &Cpu::template out<Variant>);
    implement_pass_through<Variant, Op::kFusible>(library);
  } else {
    implement<Variant>(library, c10::DispatchKey::CPU, &Cpu::template in_place<Variant>);
    implement<Variant>(library, c10::DispatchKey::AutogradCPU, &Autograd::template in_place<Variant>);
  }
}

// `Variants` are the in-place and out= operators, where ATen has them.
template <class Op, class... Variants>
void register_activation(torch::Library& library) {
  using Aten = typename Op::Aten;
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &ActivationCpu<Op, typename Aten::schema>::functional);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &UnaryAutograd<Op>::functional);
  (register_variant<Op, Variants>(library), ...);
}

template <class Op>
void register_backward(torch::Library& library) {
  using Aten = typename Op::Backward;
  define<Aten>(library);
  using Cpu = BackwardCpu<Op, typename Aten::schema>;
  implement<Aten>(library, c10::DispatchKey::CPU, &Cpu::call);
  if constexpr (Op::kMetaBackwardDiffers) implement<Aten>(library, c10::DispatchKey::Meta, &Cpu::meta);
  implement_pass_through<Aten, Op::kFusible>(library);
}

}  // namespace rusttorch
