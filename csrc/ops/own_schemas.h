// Operators that ATen does not have, or whose composition is not one call, in the form of its operator structs (at::_ops).
#pragma once
#include <ATen/ScalarOps.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Reduction.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_log_softmax_backward_data_ops.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/div.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/huber_loss_backward_ops.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/mish_backward_ops.h>
#include <ATen/ops/mse_loss_backward_ops.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/selu_ops.h>
#include <ATen/ops/sgn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu_backward_ops.h>
#include <ATen/ops/smooth_l1_loss_backward_ops.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>

#include <vector>

namespace rusttorch::ops {
using at::Scalar;
using at::Tensor;

// 1 + |x|, the number as Python hands it over: nested tensors know add.Tensor only.
inline Tensor one_plus_abs(const Tensor& x) { return at::add(at::abs(x), at::native::wrapped_scalar_tensor(1)); }

// F.softsign is a Python function: x / (1 + |x|).
struct softsign {
  using schema = Tensor(const Tensor&);
  static constexpr const char* name = "rusttorch::softsign";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str = "softsign(Tensor self) -> Tensor";
  static Tensor call(const Tensor& self) { return at::div(self, one_plus_abs(self)); }
};
// d/dx x / (1 + |x|) = 1 / (1 + |x|)^2
struct softsign_backward {
  using schema = Tensor(const Tensor&, const Tensor&);
  static constexpr const char* name = "rusttorch::softsign_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str = "softsign_backward(Tensor grad_output, Tensor self) -> Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self) {
    const Tensor denominator = one_plus_abs(self);
    return at::div(grad_output, at::mul(denominator, denominator));
  }
};

// d/dx logsumexp(x) = e^(x - result); grad_output and result have the reduced dimensions, of size 1.
struct _logsumexp_backward {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&);
  static constexpr const char* name = "rusttorch::_logsumexp_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_logsumexp_backward(Tensor grad_output, Tensor self, Tensor result) -> Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& result) {
    return at::mul(grad_output, at::exp(at::sub(self, result)));
  }
};

// The gradient of amax and amin, or of max and min of all elements (`whole`), where a NaN equals a NaN; grad_output and
// result have the reduced dimensions, of size 1.
struct _extremes_backward {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, bool);
  static constexpr const char* name = "rusttorch::_extremes_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_extremes_backward(Tensor grad_output, Tensor self, Tensor result, bool whole) -> Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& result, bool whole) {
    const Tensor equal = at::eq(result, self);
    if (whole) {
      const Tensor mask = at::where(at::isnan(result), at::isnan(self), equal);
      const Tensor share = at::div(grad_output, at::sum(mask)).reshape({});
      return grad_output.new_zeros_symint(self.sym_sizes()).masked_fill(mask, share);
    }
    std::vector<int64_t> reduced;
    for (int64_t i = 0; i < result.dim(); ++i) {
      if (result.sym_size(i) == 1) reduced.push_back(i);
    }
    const Tensor count = reduced.empty() ? equal : at::sum(equal, reduced, true);
    return at::mul(at::div(grad_output, count), equal);
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

// Scale and alpha of selu (Klambauer et al. 2017), as in ATen.
inline constexpr double kSeluAlpha = 1.6732632423543772848170429916717;
inline constexpr double kSeluScale = 1.0507009873554804934193349852946;

// ATen's selu_ is written as elu_; calling it by its own name would leave functionalization without a rule for it.
struct selu_ : at::_ops::selu_ {
  static Tensor& call(Tensor& self) { return at::elu_(self, kSeluAlpha, kSeluScale); }
};

// ATen's result is contiguous, but its form on the meta device follows grad_output.
struct _log_softmax_backward_data : at::_ops::_log_softmax_backward_data {
  static Tensor call(const Tensor& grad_output, const Tensor& output, int64_t dim, at::ScalarType input_dtype) {
    return at::_ops::_log_softmax_backward_data::call(grad_output.contiguous(), output, dim, input_dtype);
  }
};

// ATen's silu_backward and mish_backward have no derivative: where one is needed, it writes them out, and so do we.
inline bool needs_derivative(const Tensor& tensor) {
  return (at::GradMode::is_enabled() && tensor.requires_grad()) || tensor._fw_grad(0).defined();
}
// d/dx x s(x) = s (1 + x (1 - s)), s being the logistic function.
struct silu_backward : at::_ops::silu_backward {
  static Tensor call(const Tensor& grad_output, const Tensor& self) {
    if (!needs_derivative(grad_output) && !needs_derivative(self))
      return at::_ops::silu_backward::call(grad_output, self);
    const Tensor sigmoid = at::sigmoid(self);
    return grad_output * sigmoid * (1 + self * (1 - sigmoid));
  }
};
// d/dx x t(x) = t + x s(x) (1 - t^2), t being tanh(softplus(x)).
struct mish_backward : at::_ops::mish_backward {
  static Tensor call(const Tensor& grad_output, const Tensor& self) {
    if (!needs_derivative(grad_output) && !needs_derivative(self))
      return at::_ops::mish_backward::call(grad_output, self);
    const Tensor tanh_softplus = at::tanh(at::softplus(self));
    return grad_output * (tanh_softplus + self * at::sigmoid(self) * (1 - tanh_softplus * tanh_softplus));
  }
};

// Losses. What the meta kernels of these say of the result's strides, ATen's results have for contiguous tensors only: it
// writes the gradient contiguously.
struct mse_loss_backward : at::_ops::mse_loss_backward {
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& target, int64_t reduction) {
    return at::_ops::mse_loss_backward::call(grad_output.contiguous(), self.contiguous(), target.contiguous(),
                                             reduction);
  }
};
struct smooth_l1_loss_backward : at::_ops::smooth_l1_loss_backward {
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& target, int64_t reduction,
                     double beta) {
    return at::_ops::smooth_l1_loss_backward::call(grad_output.contiguous(), self.contiguous(), target.contiguous(),
                                                   reduction, beta);
  }
};
struct huber_loss_backward : at::_ops::huber_loss_backward {
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& target, int64_t reduction,
                     double delta) {
    return at::_ops::huber_loss_backward::call(grad_output.contiguous(), self.contiguous(), target.contiguous(),
                                               reduction, delta);
  }
};

// ATen differentiates |self - target| step by step.
struct l1_loss_backward {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t);
  static constexpr const char* name = "rusttorch::l1_loss_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "l1_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction) -> Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& target, int64_t reduction) {
    const Tensor sign = at::sgn(at::sub(self, target));
    if (reduction == at::Reduction::None) return at::mul(grad_output, sign);
    const Tensor grad = grad_output.expand_symint(sign.sym_sizes());
    return at::mul(reduction == at::Reduction::Mean ? at::div(grad, Scalar(sign.sym_numel())) : grad, sign);
  }
};
// ATen has it as a function of its autograd, not as an operator.
struct binary_cross_entropy_with_logits_backward {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&,
                        const std::optional<Tensor>&, int64_t);
  static constexpr const char* name = "rusttorch::binary_cross_entropy_with_logits_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "binary_cross_entropy_with_logits_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, "
      "Tensor? "
      "pos_weight, int reduction) -> Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& target,
                     const std::optional<Tensor>& weight, const std::optional<Tensor>& pos_weight, int64_t reduction) {
    Tensor slope;
    if (pos_weight && pos_weight->defined()) {
      const Tensor positive = at::mul(*pos_weight, target);
      slope = at::sub(at::mul(at::sub(at::add(positive, 1), target), at::sigmoid(self)), positive);
    } else {
      slope = at::sub(at::sigmoid(self), target);
    }
    Tensor grad = at::mul(slope, grad_output);
    if (weight && weight->defined()) grad = at::mul(grad, *weight);
    return reduction == at::Reduction::Mean ? at::div(grad, Scalar(self.sym_numel())) : grad;
  }
};

}  // namespace rusttorch::ops
