// Operators that ATen does not have, in the form of its operator structs (at::_ops): schema and composition.
#pragma once
#include <ATen/ops/abs.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/div.h>
#include <ATen/ops/mul.h>

namespace rusttorch::ops {
using at::Tensor;

// F.softsign is a Python function: x / (1 + |x|).
struct softsign {
  using schema = Tensor(const Tensor&);
  static constexpr const char* name = "rusttorch::softsign";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str = "softsign(Tensor self) -> Tensor";
  static Tensor call(const Tensor& self) { return at::div(self, at::add(at::abs(self), 1)); }
};
// d/dx x / (1 + |x|) = 1 / (1 + |x|)^2
struct softsign_backward {
  using schema = Tensor(const Tensor&, const Tensor&);
  static constexpr const char* name = "rusttorch::softsign_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str = "softsign_backward(Tensor grad_output, Tensor self) -> Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self) {
    const Tensor denominator = at::add(at::abs(self), 1);
    return at::div(grad_output, at::mul(denominator, denominator));
  }
};

// ATen has no such operator; its nearest is addcmul, which may round twice.
struct fused_multiply_add {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&);
  static constexpr const char* name = "rusttorch::fused_multiply_add";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str = "fused_multiply_add(Tensor a, Tensor b, Tensor c) -> Tensor";
  static Tensor call(const Tensor& a, const Tensor& b, const Tensor& c) { return at::addcmul(c, a, b); }
};

}  // namespace rusttorch::ops
