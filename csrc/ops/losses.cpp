// The elementwise losses: what each is called in ATen, which kernel rows it runs, how its gradient is called.
#include "torch_headers.h"

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
#include "weighted_losses.h"

namespace rusttorch {

namespace {

// Costs are nanoseconds per float32 element on one AVX2 core.

std::optional<Tensor> optional(const Tensor* tensor) { return tensor ? std::optional<Tensor>(*tensor) : std::nullopt; }

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
    LossPlan plan{
        kernels().smooth_l1_loss, kernels().smooth_l1_loss_sum, kernels().smooth_l1_loss_backward, 0.12, 0.12, true};
    if (beta == 0) {  // the slope at 0 is not that of l1_loss
      plan.elements = kernels().l1_loss;
      plan.sum = kernels().l1_loss_sum;
    } else if (!(beta > 1e-30 && beta < 1e30)) {
      plan.elements = nullptr;
    }
    return plan;
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
  // ATen's out= holds the elements first, and must have the input's size whatever the reduction: with another it
  // gives the loss of what `out` held.
  static constexpr bool kAtenReducesOut = true;
  static LossPlan plan(double) {
    return {kernels().binary_cross_entropy, kernels().binary_cross_entropy_sum, kernels().binary_cross_entropy_backward,
            1.1, 0.2};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, optional(call.weight), call.reduction);
  }
};

struct BinaryCrossEntropyWithLogits {
  using Aten = at::_ops::binary_cross_entropy_with_logits;
  using Backward = ops::binary_cross_entropy_with_logits_backward;
  static constexpr const char* kName = "BinaryCrossEntropyWithLogits";
  static LossPlan plan(double) {
    return {.elements = kernels().binary_cross_entropy_with_logits,
            .sum = kernels().binary_cross_entropy_with_logits_sum,
            .backward = kernels().binary_cross_entropy_with_logits_backward,
            .nanoseconds = 0.6,
            .backward_nanoseconds = 0.4,
            .takes_pos_weight = true};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, optional(call.weight), optional(call.pos_weight),
                                   call.reduction);
  }
};

// The same with weights: kernels of the losses above, operators of our own, for ATen has none.
struct WeightedMseLoss {
  using Unweighted = MseLoss;
  using Aten = ops::_weighted_mse_loss;
  using Backward = ops::_weighted_mse_loss_backward;
  static constexpr const char* kName = "WeightedMseLoss";
  static LossPlan plan(double parameter) { return of_weights(MseLoss::plan(parameter)); }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, *call.weight, call.reduction);
  }
  static LossPlan of_weights(LossPlan plan) {
    plan.divides_by_weights = true;
    return plan;
  }
};

struct WeightedL1Loss {
  using Unweighted = L1Loss;
  using Aten = ops::_weighted_l1_loss;
  using Backward = ops::_weighted_l1_loss_backward;
  static constexpr const char* kName = "WeightedL1Loss";
  static LossPlan plan(double parameter) { return WeightedMseLoss::of_weights(L1Loss::plan(parameter)); }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, *call.weight, call.reduction);
  }
};

struct WeightedHuberLoss {
  using Unweighted = HuberLoss;
  using Aten = ops::_weighted_huber_loss;
  using Backward = ops::_weighted_huber_loss_backward;
  static constexpr const char* kName = "WeightedHuberLoss";
  static LossPlan plan(double delta) { return HuberLoss::plan(delta); }
  static Tensor backward(const Tensor& grad_output, const Tensor& self, const Tensor& target, const LossCall& call) {
    return handle<Backward>().call(grad_output, self, target, *call.weight, call.reduction, call.parameter);
  }
};

// Under autocast the composition holds: it casts step by step, as torch does.
template <class Op>
void register_weighted_loss(torch::Library& library) {
  register_loss<Op>(library);
  implement<typename Op::Aten>(library, c10::DispatchKey::AutocastCPU, &Op::Aten::call);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  register_loss<MseLoss>(library);
  register_loss<L1Loss>(library);
  register_loss<SmoothL1Loss>(library);
  register_loss<HuberLoss>(library);
  register_loss<BinaryCrossEntropy>(library);
  register_loss<BinaryCrossEntropyWithLogits>(library);
  implement_autocast_to_float32<MseLoss::Aten>(library);
  implement_autocast_to_float32<L1Loss::Aten>(library);
  implement_autocast_to_float32<SmoothL1Loss::Aten>(library);
  implement_autocast_to_float32<HuberLoss::Aten>(library);
  implement_autocast_to_float32<BinaryCrossEntropy::Aten>(library);
  implement_autocast_to_float32<BinaryCrossEntropyWithLogits::Aten>(library);

  register_weighted_loss<WeightedMseLoss>(library);
  register_weighted_loss<WeightedL1Loss>(library);
  register_weighted_loss<WeightedHuberLoss>(library);

  register_loss_out<MseLoss, at::_ops::mse_loss_out>(library);
  register_loss_out<SmoothL1Loss, at::_ops::smooth_l1_loss_out>(library);
  register_loss_out<HuberLoss, at::_ops::huber_loss_out>(library);
  register_loss_out<BinaryCrossEntropy, at::_ops::binary_cross_entropy_out>(library);
  register_loss_out<BinaryCrossEntropyWithLogits, at::_ops::binary_cross_entropy_with_logits_out>(library);
  register_loss_backward_out<MseLoss, at::_ops::mse_loss_backward_grad_input>(library);
  register_loss_backward_out<SmoothL1Loss, at::_ops::smooth_l1_loss_backward_grad_input>(library);
  register_loss_backward_out<HuberLoss, at::_ops::huber_loss_backward_out>(library);
  register_loss_backward_out<BinaryCrossEntropy, at::_ops::binary_cross_entropy_backward_grad_input>(library);
}

}  // namespace rusttorch
