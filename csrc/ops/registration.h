// How an operator enters the dispatcher. `Aten` is one of ATen's own operator structs (at::_ops::gelu, at::_ops::add_out):
// its schema becomes ours, letter for letter, and its `call` is the composition that serves everything that is not our
// CPU kernel. An operator without an ATen twin brings a struct with the same members (see `ops::softsign`).
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <string>
#include <string_view>
#include <vector>

namespace rusttorch {

template <class Aten>
constexpr bool is_mutable() {
  return std::string_view(Aten::schema_str).find("(a!)") != std::string_view::npos;
}

// "add.Tensor" for at::_ops::add_Tensor.
template <class Aten>
std::string name_with_overload() {
  const std::string_view schema = Aten::schema_str;
  return std::string(schema.substr(0, schema.find('(')));
}

// The typed handle of rusttorch::<name>.<overload>; looked up once.
template <class Aten>
const auto& handle() {
  static const auto typed = [] {
    const std::string_view qualified = Aten::name;
    const std::string own = "rusttorch::" + std::string(qualified.substr(qualified.find("::") + 2));
    return c10::Dispatcher::singleton()
        .findSchemaOrThrow(own.c_str(), Aten::overload_name)
        .template typed<typename Aten::schema>();
  }();
  return typed;
}

// Schema and composition. Every key below exists for a reason:
//   CompositeExplicitAutograd  other devices, meta and fake tensors, sparse, quantised
//   Autograd                   there, ATen's own derivative (AutogradCPU is ours, registered by the op file)
//   AutogradNestedTensor       not part of the alias above
//   FuncTorchDynamicLayerFrontMode  vmap, grad, jvp, jacrev, hessian: ATen sees the call first
//   Functionalize              without it compile and export refuse schemas with alias annotations
template <class Aten>
void define(torch::Library& library, const std::vector<at::Tag>& tags = {at::Tag::pt2_compliant_tag}) {
  library.def(Aten::schema_str, tags);
  const std::string name = name_with_overload<Aten>();
  for (const auto key : {c10::DispatchKey::CompositeExplicitAutograd, c10::DispatchKey::Autograd,
                         c10::DispatchKey::AutogradNestedTensor, c10::DispatchKey::FuncTorchDynamicLayerFrontMode}) {
    library.impl(name.c_str(), torch::dispatch(key, &Aten::call));
  }
  if constexpr (is_mutable<Aten>()) {
    library.impl(name.c_str(), torch::dispatch(c10::DispatchKey::Functionalize, &Aten::call));
  }
}

template <class Aten, class Function>
void implement(torch::Library& library, c10::DispatchKey key, Function* function) {
  library.impl(name_with_overload<Aten>().c_str(), torch::dispatch(key, function));
}

}  // namespace rusttorch
