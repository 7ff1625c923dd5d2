// A gradient that forward made, for a grad_output of 1: docs/decisions/0008-gradient-in-forward.md.
#pragma once
#include <ATen/SavedTensorHooks.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/mul.h>

#include <cmath>
#include <utility>

#include "autograd.h"

namespace rusttorch {

// Whether a forward call with these arguments may make it: nothing records the call, and no hooks of saved tensors say
// that memory is dearer than time.
template <class... Args>
bool may_make_gradient(const Args&... args) {
  return !any_tensor(is_traced, args...) && !c10::impl::dispatch_mode_enabled() &&
         !at::SavedTensorDefaultHooks::get_hooks();
}

// Takes `made` and returns it times grad_output. Undefined, with `made` as it was, where the formula has to run: for a
// graph of the gradient, and for an infinite or NaN grad_output, which times the 0 of an ignored row would be NaN.
inline Tensor take_made_gradient(Tensor& made, const Tensor& grad_output) {
  if (!made.defined() || grad_output.numel() != 1 || !is_plain_gradient(grad_output)) return Tensor();
  const double factor = grad_output.item<double>();
  if (!std::isfinite(factor)) return Tensor();
  Tensor taken = std::exchange(made, Tensor());
  if (factor != 1) taken.mul_(factor);
  return taken;
}

}  // namespace rusttorch
