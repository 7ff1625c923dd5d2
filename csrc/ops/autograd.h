// Autograd kernels, written once for every operator of a shape. All of them sit at AutogradCPU and follow one rule: where a
// derivative of ours does not apply (forward-mode AD, tracing of a fusible operator), ATen's differentiable operator is
// called instead, so that its formulas hold.
#pragma once
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <torch/headeronly/version.h>

#include <mutex>
#include <string>
#include <tuple>

#include "common.h"
#include "registration.h"

namespace rusttorch {

// A graph node whose variables are not released while it runs: as in PyTorch, several threads may go backward through one
// graph, and all but the first are told that it is gone.
struct LockedNode : torch::autograd::Node {
  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) final {
    const std::lock_guard<std::mutex> lock(mutex_);
    return gradients(std::move(grads));
  }
  void release_variables() final {
    const std::lock_guard<std::mutex> lock(mutex_);
    release();
  }

 protected:
  virtual torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) = 0;
  virtual void release() = 0;
};

// What a graph node keeps of an operator's arguments: views become owners.
template <class T>
struct Owned {
  using type = std::decay_t<T>;
};
template <>
struct Owned<std::string_view> {
  using type = std::string;
};

// Predicates over the tensors of an argument list; everything else answers false.
inline bool requires_grad(const Tensor& tensor) { return tensor.requires_grad(); }
inline bool has_tangent(const Tensor& tensor) { return tensor._fw_grad(0).defined(); }
inline bool is_traced(const Tensor& tensor) { return tensor.key_set().has(c10::DispatchKey::Python); }
template <class Predicate, class... Args>
bool any_tensor(const Predicate& predicate, const Args&... args) {
  const auto test = [&](const auto& argument) {
    using T = std::decay_t<decltype(argument)>;
    if constexpr (std::is_same_v<T, Tensor>) return predicate(argument);
    if constexpr (std::is_same_v<T, std::optional<Tensor>>)
      return argument && argument->defined() && predicate(*argument);
    return false;
  };
  return (test(args) || ...);
}
template <class... Args>
bool needs_graph(const Args&... args) {
  return at::GradMode::is_enabled() && any_tensor(requires_grad, args...);
}

// True for a gradient whose elements a node may read, outside of what records or wraps it: no graph of it is wanted, it has
// no tangent, and no transform, tracer or subclass has a hand in it.
inline bool is_plain_gradient(const Tensor& tensor) {
  constexpr c10::DispatchKeySet plain(c10::DispatchKey::CPU);
  const auto keys = tensor.key_set() - c10::autograd_dispatch_keyset_with_ADInplaceOrView -
                    c10::DispatchKeySet(c10::DispatchKey::AutocastCPU);
  return !at::GradMode::is_enabled() && keys == plain && !has_tangent(tensor) && !c10::impl::dispatch_mode_enabled();
}

// True when the call belongs to ATen before anything else is looked at. `kFusible` operators are cheap enough that a
// compiler gains more by fusing them than our kernel saves: a traced tensor or a dispatch mode sees ATen's operator.
template <bool kFusible, class... Args>
bool belongs_to_aten(const Args&... args) {
  if (kFusible && (any_tensor(is_traced, args...) || c10::impl::dispatch_mode_enabled())) return true;
  return any_tensor(has_tangent, args...);
}

// out[i] = f(self[i], arguments...) with one saved tensor. `Op` provides
//   using Aten                          the functional operator
//   static constexpr bool kFusible, kSavesResult
//   static bool differentiable(self)    false: ATen's autograd takes the call
//   static Tensor backward(grad_output, saved, saved_is_result, owned arguments...)
template <class Op, class... Args>
struct UnaryNode : LockedNode {
  explicit UnaryNode(const Args&... args) : arguments(args...) {}
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    const Tensor tensor = saved.unpack(saved_is_result ? getptr() : nullptr);
    return {std::apply([&](const auto&... args) { return Op::backward(grads[0], tensor, saved_is_result, args...); },
                       arguments)};
  }
  void release() override { saved.reset_data(); }
  std::string name() const override { return std::string("Torchext") + Op::kName + "Backward"; }

  torch::autograd::SavedVariable saved;
  bool saved_is_result = false;
  std::tuple<typename Owned<Args>::type...> arguments;
};

// Graph nodes are counted by intrusive pointers from torch 2.13 on, by shared pointers before.
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 13
template <class Node>
using NodePointer = c10::intrusive_ptr<Node>;
template <class Node, class... Args>
NodePointer<Node> new_node(const Args&... args) {
  return c10::make_intrusive<Node>(args...);
}
#else
template <class Node>
using NodePointer = std::shared_ptr<Node>;
template <class Node, class... Args>
NodePointer<Node> new_node(const Args&... args) {
  return NodePointer<Node>(new Node(args...), torch::autograd::deleteNode);
}
#endif

template <class Op, class... Args>
NodePointer<UnaryNode<Op, Args...>> make_node(const Tensor& self, const Args&... args) {
  auto node = new_node<UnaryNode<Op, Args...>>(args...);
  node->set_next_edges(torch::autograd::collect_next_edges(self));
  return node;
}

template <class Op, class Signature = typename Op::Aten::schema>
struct UnaryAutograd;

template <class Op, class... Args>
struct UnaryAutograd<Op, Tensor(const Tensor&, Args...)> {
  static Tensor functional(c10::DispatchKeySet keys, const Tensor& self, Args... args) {
    using Aten = typename Op::Aten;
    const bool graph = needs_graph(self);
    if (belongs_to_aten<Op::kFusible>(self) || (graph && !Op::differentiable(self))) return Aten::call(self, args...);
    NodePointer<UnaryNode<Op, Args...>> node;
    if (graph) {
      node = make_node<Op, Args...>(self, args...);
      if (!Op::kSavesResult) node->saved = torch::autograd::SavedVariable(self, false);
    }
    Tensor result = [&] {
      at::AutoDispatchBelowADInplaceOrView guard;
      return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, args...);
    }();
    if (node) {
      torch::autograd::set_history(result, node);
      node->saved_is_result = Op::kSavesResult;
      if (Op::kSavesResult) node->saved = torch::autograd::SavedVariable(result, true);
    }
    return result;
  }

  // In place the input is gone afterwards: save the result where the derivative can be had from it, else a copy.
  template <class Inplace>
  static Tensor& in_place(c10::DispatchKeySet keys, Tensor& self, Args... args) {
    const bool graph = needs_graph(self);
    if (belongs_to_aten<Op::kFusible>(self) || (graph && !Op::differentiable(self)))
      return Inplace::call(self, args...);
    torch::autograd::check_inplace(self, graph);
    NodePointer<UnaryNode<Op, Args...>> node;
    if (graph) {
      node = make_node<Op, Args...>(self, args...);
      if (!Op::kInplaceSavesResult) node->saved = torch::autograd::SavedVariable(self.clone(), false);
    }
    {
      at::AutoDispatchBelowAutograd guard;
      handle<Inplace>().redispatch(keys & c10::after_autograd_keyset, self, args...);
    }
    if (node) {
      torch::autograd::rebase_history(self, node);
      node->saved_is_result = Op::kInplaceSavesResult;
      if (Op::kInplaceSavesResult) node->saved = torch::autograd::SavedVariable(self, true, self.is_view());
    }
    return self;
  }
};

// An operator that has no derivative of its own here (backward operators, out=): ATen's where a graph or a tangent is
// needed (double backward costs no code; differentiable out= is refused in torch's words), else straight below.
template <class Aten, bool kFusible, class Signature = typename Aten::schema>
struct PassThroughAutograd;

template <class Aten, bool kFusible, class Result, class... Args>
struct PassThroughAutograd<Aten, kFusible, Result(Args...)> {
  static Result call(c10::DispatchKeySet keys, Args... args) {
    if (belongs_to_aten<kFusible>(args...) || needs_graph(args...)) return Aten::call(args...);
    if constexpr (is_mutable<Aten>()) {
      at::AutoDispatchBelowAutograd guard;
      return handle<Aten>().redispatch(keys & c10::after_autograd_keyset, args...);
    } else {
      at::AutoDispatchBelowADInplaceOrView guard;
      return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, args...);
    }
  }
};

// ADInplaceOrView of a mutable operator: the version counter of the tensor it writes goes up by one.
template <class Aten, class Signature = typename Aten::schema>
struct VersionBump;

template <class Aten, class... Args>
struct VersionBump<Aten, Tensor&(Args...)> {
  static Tensor& call(c10::DispatchKeySet keys, Args... args) {
    Tensor& written = written_tensor(args...);
    TORCH_CHECK(
        !written.is_inference() || at::InferenceMode::is_enabled(),
        "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a "
        "normal tensor before doing inplace update.");
    {
      at::AutoDispatchBelowADInplaceOrView guard;
      handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, args...);
    }
    torch::autograd::increment_version(written);
    return written;
  }

 private:
  // The one `Tensor&` of the signature: `self` of an in-place operator, `out` otherwise.
  static Tensor& written_tensor(Args... args) {
    Tensor* written = nullptr;
    (remember<Args>(args, written), ...);
    return *written;
  }
  template <class Arg>
  static void remember([[maybe_unused]] Arg argument, [[maybe_unused]] Tensor*& written) {
    if constexpr (std::is_same_v<Arg, Tensor&>) written = &argument;
  }
};

template <class Aten>
void implement_version_bump(torch::Library& library) {
  implement<Aten>(library, c10::DispatchKey::ADInplaceOrView, &VersionBump<Aten>::call);
}
template <class Aten, bool kFusible>
void implement_pass_through(torch::Library& library) {
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &PassThroughAutograd<Aten, kFusible>::call);
}

}  // namespace rusttorch
