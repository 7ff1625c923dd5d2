// Losses with a weight for each element, as torch.nn.functional computes them: in Python there, from ATen's operators;
// here operators of our own with that as their composition (see own_schemas.h).
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Reduction.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/div.h>
#include <ATen/ops/huber_loss.h>
#include <ATen/ops/huber_loss_backward.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/sgn.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/sum.h>

namespace rusttorch::ops {
using at::Scalar;
using at::Tensor;

// The mean is one over the sum of the weights, or over the number of elements.
enum class Mean { of_weights, of_elements };

inline Tensor reduce_weighted(const Tensor& loss, const Tensor& weight, int64_t reduction, Mean mean) {
  const Tensor weighted = at::mul(loss, weight);
  if (reduction == at::Reduction::None) return weighted;
  if (reduction == at::Reduction::Mean && mean == Mean::of_elements) return at::mean(weighted);
  const Tensor sum = at::sum(weighted);
  return reduction == at::Reduction::Mean ? at::div(sum, at::sum(weight)) : sum;
}
// What the slopes are multiplied by.
inline Tensor weighted_gradient(const Tensor& grad_output, const Tensor& self, const Tensor& weight, int64_t reduction,
                                Mean mean) {
  if (reduction != at::Reduction::Mean) return at::mul(grad_output, weight);
  return at::mul(
      mean == Mean::of_weights ? at::div(grad_output, at::sum(weight)) : at::div(grad_output, Scalar(self.sym_numel())),
      weight);
}

struct _weighted_mse_loss {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t);
  static constexpr const char* name = "rusttorch::_weighted_mse_loss";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_weighted_mse_loss(Tensor self, Tensor target, Tensor weight, int reduction) -> Tensor";
  static Tensor call(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction) {
    return reduce_weighted(at::pow(at::sub(self, target), 2), weight, reduction, Mean::of_weights);
  }
};
struct _weighted_mse_loss_backward {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&, int64_t);
  static constexpr const char* name = "rusttorch::_weighted_mse_loss_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_weighted_mse_loss_backward(Tensor grad_output, Tensor self, Tensor target, Tensor weight, int reduction) -> "
      "Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& target, const Tensor& weight,
                     int64_t reduction) {
    const Tensor slope = at::mul(at::sub(self, target), 2);
    return at::mul(weighted_gradient(grad_output, self, weight, reduction, Mean::of_weights), slope);
  }
};

struct _weighted_l1_loss {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t);
  static constexpr const char* name = "rusttorch::_weighted_l1_loss";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_weighted_l1_loss(Tensor self, Tensor target, Tensor weight, int reduction) -> Tensor";
  static Tensor call(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction) {
    return reduce_weighted(at::abs(at::sub(self, target)), weight, reduction, Mean::of_weights);
  }
};
struct _weighted_l1_loss_backward {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&, int64_t);
  static constexpr const char* name = "rusttorch::_weighted_l1_loss_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_weighted_l1_loss_backward(Tensor grad_output, Tensor self, Tensor target, Tensor weight, int reduction) -> "
      "Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& target, const Tensor& weight,
                     int64_t reduction) {
    const Tensor slope = at::sgn(at::sub(self, target));
    return at::mul(weighted_gradient(grad_output, self, weight, reduction, Mean::of_weights), slope);
  }
};

struct _weighted_huber_loss {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t, double);
  static constexpr const char* name = "rusttorch::_weighted_huber_loss";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_weighted_huber_loss(Tensor self, Tensor target, Tensor weight, int reduction, float delta) -> Tensor";
  static Tensor call(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction, double delta) {
    return reduce_weighted(at::huber_loss(self, target, at::Reduction::None, delta), weight, reduction,
                           Mean::of_elements);
  }
};
struct _weighted_huber_loss_backward {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&, int64_t, double);
  static constexpr const char* name = "rusttorch::_weighted_huber_loss_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_weighted_huber_loss_backward(Tensor grad_output, Tensor self, Tensor target, Tensor weight, int reduction, "
      "float "
      "delta) -> Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& target, const Tensor& weight,
                     int64_t reduction, double delta) {
    const Tensor grad = weighted_gradient(grad_output, self, weight, reduction, Mean::of_elements);
    // Contiguous, as own_schemas.h says of losses.
    return at::huber_loss_backward(grad.contiguous(), self.contiguous(), target.contiguous(), at::Reduction::None,
                                   delta);
  }
};

}  // namespace rusttorch::ops
