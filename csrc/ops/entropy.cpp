// The compositions of the internal operators of entropy.h, in ATen's differentiable operators: what meta and fake tensors
// see, functorch, and the gradient of the gradient.
#include "torch_headers.h"

#include "entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros_like.h>

namespace rusttorch {
namespace {

// The weight of every target, 0 where it is ignored; `safe` is a target that may be indexed with.
Tensor weights_of(const Tensor& safe, const Tensor& ignored, const Tensor& weight, at::ScalarType type) {
  const Tensor found = weight.defined()
                           ? at::gather(weight.to(type), 0, safe.reshape({-1})).reshape_symint(safe.sym_sizes())
                           : at::ones_like(safe).to(type);
  return found.masked_fill(ignored, 0);
}

// What _cross_entropy_forward returns, without values: ATen's meta function of nll_loss makes tensors on other devices,
// which a compiler's fake tensors cannot be mixed with.
std::tuple<Tensor, Tensor, Tensor, Tensor> forms_of(const Tensor& self, int64_t reduction) {
  const Tensor loss = at::amax(self, class_dim(self)).contiguous(), max = loss.to(compute_type(self.scalar_type()));
  return {reduction == at::Reduction::None ? loss : at::sum(loss), max, at::zeros_like(max), at::sum(max, at::kDouble)};
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor, Tensor> ops::_cross_entropy_forward::call(const Tensor& self, const Tensor& target,
                                                                             const std::optional<Tensor>& weight,
                                                                             int64_t reduction,
                                                                             c10::SymInt ignore_index,
                                                                             double label_smoothing) {
  if (self.is_meta()) return forms_of(self, reduction);
  const Tensor loss = at::cross_entropy_loss_symint(self, target, weight, reduction, ignore_index, label_smoothing);
  const int64_t dim = class_dim(self);
  const Tensor wide = self.to(compute_type(self.scalar_type()));
  const Tensor max = at::amax(wide, dim, true), log_sum = at::logsumexp(wide - max, dim);
  const Tensor ignored = target == Scalar(ignore_index);
  const Tensor total = weights_of(target.masked_fill(ignored, 0), ignored, tensor_of(weight), at::kDouble).sum();
  return {loss, max.squeeze(dim).contiguous(), log_sum.contiguous(), total};
}

// grad_input[c] = a e^(x_c - logsumexp) - b w_c - (c == target) d with d = g w_t (1 - eps), b = g eps / C and
// a = d + b sum(w); g = 0 where the target is ignored.
Tensor ops::_cross_entropy_backward::call(const Tensor& grad_output, const Tensor& self, const Tensor& target,
                                          const std::optional<Tensor>& weight, int64_t reduction,
                                          c10::SymInt ignore_index, double label_smoothing, const Tensor& /*max*/,
                                          const Tensor& /*log_sum*/, const Tensor& total_weight) {
  const int64_t dim = class_dim(self);
  const at::ScalarType type = compute_type(self.scalar_type());
  const Tensor ignored = target == Scalar(ignore_index), safe = target.masked_fill(ignored, 0);
  const Tensor weights = tensor_of(weight);
  Tensor grad = grad_output.to(type);
  if (reduction == at::Reduction::Mean) grad = grad / total_weight.to(type);
  const Tensor probabilities = at::softmax(self, dim, type);
  // Masked: where all rows are ignored, grad is infinite, and times their weight of 0 not 0.
  const Tensor peak = (grad * (1 - label_smoothing) * weights_of(safe, ignored, weights, type)).masked_fill(ignored, 0);
  Tensor scale = peak, result;
  if (label_smoothing > 0) {
    const c10::SymInt classes = self.sym_size(dim);
    const Tensor share = (grad * (label_smoothing / classes)).expand_symint(target.sym_sizes()).masked_fill(ignored, 0);
    if (weights.defined()) {
      std::vector<c10::SymInt> shape(self.dim(), 1);
      shape[dim] = classes;
      scale = peak + share * weights.to(type).sum();
      result = probabilities * scale.unsqueeze(dim) - share.unsqueeze(dim) * weights.to(type).view_symint(shape);
    } else {
      scale = peak + share * Scalar(classes);
      result = probabilities * scale.unsqueeze(dim) - share.unsqueeze(dim);
    }
  } else {
    result = probabilities * scale.unsqueeze(dim);
  }
  const Tensor peaks = at::scatter(at::zeros_like(probabilities), dim, safe.unsqueeze(dim), peak.unsqueeze(dim));
  return (result - peaks).to(self.scalar_type()).contiguous();
}

Decision decide_entropy(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction) {
  if (!is_floating_index(dtype_index(self.scalar_type())) || target.scalar_type() != at::kLong) return Decision::dtype;
  if (!takes_class_indices(self, target, weight)) return Decision::arguments;
  if (self.numel() == 0 || reduction < at::Reduction::None || reduction > at::Reduction::Sum)
    return Decision::arguments;
  const int64_t dim = class_dim(self);
  for (int64_t i = 0; i < self.dim(); ++i) {
    if (i != dim && self.size(i) != target.size(i < dim ? i : i - 1)) return Decision::arguments;
  }
  if (weight.defined() && weight.size(0) != self.size(dim)) return Decision::arguments;
  return Decision::taken;
}

void refuse_targets(const int64_t* target, int64_t n, int64_t ignore_index, int64_t classes) {
  for (int64_t k = 0; k < n; ++k) {
    TORCH_CHECK_INDEX(target[k] == ignore_index || (target[k] >= 0 && target[k] < classes), "Target ", target[k],
                      " is out of bounds.");
  }
}

}  // namespace rusttorch
