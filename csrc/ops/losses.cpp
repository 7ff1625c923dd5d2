// The elementwise losses: what each is called in ATen, which kernel rows it runs, how its gradient is called.
#include <ATen/core/Tensor.h>
#include <ATen/ops/binary_cross_entropy_backward_ops.h>
#include <ATen/ops/binary_cross_entropy_ops.h>
#include <ATen/ops/binary_cross_entropy_with_logits_ops.h>
#include <ATen/ops/huber_loss_ops.h>
#include <ATen/ops/l1_loss_ops.h>
#include <ATen/ops/mse_loss_ops.h>
#include <ATen/ops/smooth_l1_loss_ops.h>

#include "loss.h"
#include "own_schemas.h"
#include "pieces.h"

namespace rusttorch {

namespace {

// True when our kernels serve `self` and `target`; `reason` says why not.
bool is_ours(const LossPlan& plan, const Tensor& self, const Tensor& target, const LossCall& call, Decision& reason) {
  const bool known = call.reduction >= at::Reduction::None && call.reduction < at::Reduction::END;
  reason = Decision::arguments;
  if (!plan.elements || call.weighted || !known || self.sizes() != target.sizes()) return false;
  reason = Decision::dtype;
  return is_floating_index(dtype_index(self.scalar_type())) && self.scalar_type() == target.scalar_type();
}

const char* bytes_of(const Tensor& tensor) { return static_cast<const char*>(tensor.const_data_ptr()); }

// A 0-dimensional tensor.
Tensor number(double value, at::ScalarType type) {
  Tensor result = empty_result({}, type);
  switch (type) {
    case at::kDouble: *result.mutable_data_ptr<double>() = value; break;
    case at::kBFloat16: *result.mutable_data_ptr<at::BFloat16>() = static_cast<float>(value); break;
    case at::kHalf: *result.mutable_data_ptr<at::Half>() = static_cast<float>(value); break;
    default: *result.mutable_data_ptr<float>() = static_cast<float>(value);
  }
  return result;
}
double value_of(const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble: return *tensor.const_data_ptr<double>();
    case at::kBFloat16: return *tensor.const_data_ptr<at::BFloat16>();
    case at::kHalf: return *tensor.const_data_ptr<at::Half>();
    default: return *tensor.const_data_ptr<float>();
  }
}

// `tensor` with the strides of the dense `like`.
Tensor laid_out_like(const Tensor& like, const Tensor& tensor) {
  return same_dense_layout(like, tensor) ? tensor : empty_like_dense(like, tensor.scalar_type()).copy_(tensor);
}

// Whether ATen's gradient has the strides of `self`, where it is not contiguous anyway. That of l1_loss is grad_output *
// sgn(self - target), and all three operands have a say; one number, expanded, has none.
bool has_strides_of(const Tensor& self, const LossPlan& plan, const Tensor& grad_output, const Tensor& target) {
  if (!is_dense(self)) return false;
  if (!plan.contiguous_gradient_of_mean) return true;
  if (!self.is_contiguous() && !same_dense_layout(self, target)) return false;
  if (same_dense_layout(self, grad_output)) return true;
  for (const int64_t stride : grad_output.strides()) {
    if (stride != 0) return false;
  }
  return true;
}

}  // namespace

Tensor loss(DecisionPoint& point, const LossPlan& plan, const Tensor& self, const Tensor& target,
            const LossCall& call) {
  Decision reason = Decision::taken;
  bool defined = is_ours(plan, self, target, call, reason);
  if (defined && !same_dense_layout(self, target)) {
    reason = Decision::layout;
    defined = false;
  }
  if (!defined) {
    point.count(reason);
    return Tensor();
  }
  const int dtype = dtype_index(self.scalar_type());
  const int64_t n = self.numel(), size = self.element_size();
  const char *input = bytes_of(self), *other = bytes_of(target);
  const Parameters parameters{.a = call.parameter};
  std::atomic<bool> all_defined = true;
  Tensor result;
  if (call.reduction == at::Reduction::None) {
    result = empty_like_dense(self, self.scalar_type());
    const LossKernel kernel = plan.elements[dtype];
    write_result(result.data_ptr(), n, size, plan.nanoseconds, 3 * n * size,
                 [&](char* to, int64_t begin, int64_t count) {
                   if (!kernel(to, input + begin * size, other + begin * size, count, parameters)) all_defined = false;
                 });
  } else {
    const LossSumKernel kernel = plan.sum[dtype];
    const double sum = sum_of_pieces(n, dtype, plan.nanoseconds, [&](int64_t begin, int64_t count) {
      double piece = 0;
      if (!kernel(&piece, input + begin * size, other + begin * size, count, parameters)) all_defined = false;
      return piece;
    });
    result = number(call.reduction == at::Reduction::Mean ? sum / static_cast<double>(n) : sum, self.scalar_type());
  }
  if (!all_defined) {  // ATen looks again, and raises in its words
    point.count(Decision::arguments);
    return Tensor();
  }
  point.count(Decision::taken);
  return result;
}

Tensor loss_backward(DecisionPoint& point, const LossPlan& plan, const Tensor& grad_output, const Tensor& self,
                     const Tensor& target, const LossCall& call) {
  Decision reason = Decision::taken;
  bool ours = is_ours(plan, self, target, call, reason);
  const bool elementwise = call.reduction == at::Reduction::None;
  if (ours && (grad_output.scalar_type() != self.scalar_type() ||
               (elementwise ? grad_output.sizes() != self.sizes() : grad_output.dim() != 0))) {
    reason = Decision::arguments;
    ours = false;
  }
  const bool contiguous =
      plan.contiguous_gradient || (plan.contiguous_gradient_of_mean && call.reduction == at::Reduction::Mean);
  if (ours && !contiguous && !has_strides_of(self, plan, grad_output, target)) {
    reason = Decision::layout;
    ours = false;
  }
  if (!point.count(ours ? Decision::taken : reason)) return Tensor();

  const Tensor x = contiguous ? self.contiguous() : self, y = laid_out_like(x, target);
  const int dtype = dtype_index(x.scalar_type());
  const int64_t n = x.numel(), size = x.element_size();
  Tensor result = empty_like_dense(x, x.scalar_type());
  Parameters parameters{.a = call.parameter};
  Tensor array;
  if (elementwise) array = laid_out_like(x, grad_output);
  else parameters.c = value_of(grad_output) / (call.reduction == at::Reduction::Mean ? static_cast<double>(n) : 1.0);
  const char *input = bytes_of(x), *other = bytes_of(y), *grad = elementwise ? bytes_of(array) : nullptr;
  const LossBackwardKernel kernel = plan.backward[dtype];
  write_result(result.data_ptr(), n, size, plan.backward_nanoseconds, (elementwise ? 4 : 3) * n * size,
               [&](char* to, int64_t begin, int64_t count) {
                 const int64_t offset = begin * size;
                 kernel(to, grad ? grad + offset : nullptr, input + offset, other + offset, count, parameters);
               });
  return result;
}

namespace {

// Costs are nanoseconds per float32 element on one AVX2 core.

struct MseLoss {
  using Aten = at::_ops::mse_loss;
  using Backward = ops::mse_loss_backward;
  static constexpr const char* kName = "MseLoss";
  static LossPlan plan(double) {
    return {kernels().mse_loss, kernels().mse_loss_sum, kernels().mse_loss_backward, 0.1, 0.12, true};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, call.reduction);
  }
};

struct L1Loss {
  using Aten = at::_ops::l1_loss;
  using Backward = ops::l1_loss_backward;
  static constexpr const char* kName = "L1Loss";
  static LossPlan plan(double) {
    return {kernels().l1_loss, kernels().l1_loss_sum, kernels().l1_loss_backward, 0.1, 0.12, false, true};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, call.reduction);
  }
};

struct SmoothL1Loss {
  using Aten = at::_ops::smooth_l1_loss;
  using Backward = ops::smooth_l1_loss_backward;
  static constexpr const char* kName = "SmoothL1Loss";
  // The kernel multiplies by 1 / beta, which must be a normal number.
  static LossPlan plan(double beta) {
    if (beta != 0 && !(beta > 1e-30 && beta < 1e30)) return {};
    return {
        kernels().smooth_l1_loss, kernels().smooth_l1_loss_sum, kernels().smooth_l1_loss_backward, 0.12, 0.12, true};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, call.reduction, call.parameter);
  }
};

struct HuberLoss {
  using Aten = at::_ops::huber_loss;
  using Backward = ops::huber_loss_backward;
  static constexpr const char* kName = "HuberLoss";
  static LossPlan plan(double delta) {
    if (!(delta > 0)) return {};
    return {kernels().huber_loss, kernels().huber_loss_sum, kernels().huber_loss_backward, 0.12, 0.12, true};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, call.reduction, call.parameter);
  }
};

struct BinaryCrossEntropy {
  using Aten = at::_ops::binary_cross_entropy;
  using Backward = at::_ops::binary_cross_entropy_backward;
  static constexpr const char* kName = "BinaryCrossEntropy";
  static LossPlan plan(double) {
    return {kernels().binary_cross_entropy, kernels().binary_cross_entropy_sum, kernels().binary_cross_entropy_backward,
            1.1, 0.2};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, std::nullopt, call.reduction);
  }
};

struct BinaryCrossEntropyWithLogits {
  using Aten = at::_ops::binary_cross_entropy_with_logits;
  using Backward = ops::binary_cross_entropy_with_logits_backward;
  static constexpr const char* kName = "BinaryCrossEntropyWithLogits";
  static LossPlan plan(double) {
    return {kernels().binary_cross_entropy_with_logits, kernels().binary_cross_entropy_with_logits_sum,
            kernels().binary_cross_entropy_with_logits_backward, 0.6, 0.4};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, call.reduction);
  }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  register_loss<MseLoss>(library);
  register_loss<L1Loss>(library);
  register_loss<SmoothL1Loss>(library);
  register_loss<HuberLoss>(library);
  register_loss<BinaryCrossEntropy>(library);
  register_loss<BinaryCrossEntropyWithLogits>(library);
}

}  // namespace rusttorch
