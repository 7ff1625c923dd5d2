// ATen's kernels that the losses stand in for. cross_entropy and l1_loss are composite: the Python functions are patched.
#include "../ops/torch_headers.h"

#include "override.h"

#include <ATen/ops/binary_cross_entropy_backward_cpu_dispatch.h>
#include <ATen/ops/binary_cross_entropy_backward_ops.h>
#include <ATen/ops/binary_cross_entropy_cpu_dispatch.h>
#include <ATen/ops/binary_cross_entropy_ops.h>
#include <ATen/ops/binary_cross_entropy_with_logits_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/binary_cross_entropy_with_logits_ops.h>
#include <ATen/ops/huber_loss_backward_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/huber_loss_backward_cpu_dispatch.h>
#include <ATen/ops/huber_loss_backward_ops.h>
#include <ATen/ops/huber_loss_cpu_dispatch.h>
#include <ATen/ops/huber_loss_ops.h>
#include <ATen/ops/mse_loss_backward_cpu_dispatch.h>
#include <ATen/ops/mse_loss_backward_ops.h>
#include <ATen/ops/mse_loss_cpu_dispatch.h>
#include <ATen/ops/mse_loss_ops.h>
#include <ATen/ops/nll_loss_backward_cpu_dispatch.h>
#include <ATen/ops/nll_loss_backward_ops.h>
#include <ATen/ops/nll_loss_forward_cpu_dispatch.h>
#include <ATen/ops/nll_loss_forward_ops.h>
#include <ATen/ops/smooth_l1_loss_backward_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/smooth_l1_loss_backward_cpu_dispatch.h>
#include <ATen/ops/smooth_l1_loss_backward_ops.h>
#include <ATen/ops/smooth_l1_loss_cpu_dispatch.h>
#include <ATen/ops/smooth_l1_loss_ops.h>

#include "../ops/entropy.h"

namespace rusttorch::patch {
namespace {

namespace aten = at::_ops;

[[maybe_unused]] const bool listed = list({
    replace<aten::mse_loss, &at::cpu::mse_loss>("mse_loss"),
    replace<aten::mse_loss_out, &at::cpu::mse_loss_outf>("mse_loss"),
    replace<aten::mse_loss_backward_grad_input, &at::cpu::mse_loss_backward_outf>("mse_loss"),
    replace<aten::mse_loss_backward, &at::cpu::mse_loss_backward>("mse_loss"),
    replace<aten::smooth_l1_loss, &at::cpu::smooth_l1_loss>("smooth_l1_loss"),
    replace<aten::smooth_l1_loss_out, &at::cpu::smooth_l1_loss_outf>("smooth_l1_loss"),
    replace<aten::smooth_l1_loss_backward_grad_input, &at::cpu::smooth_l1_loss_backward_outf>("smooth_l1_loss"),
    replace<aten::smooth_l1_loss_backward, &at::compositeexplicitautograd::smooth_l1_loss_backward>("smooth_l1_loss"),
    replace<aten::huber_loss, &at::cpu::huber_loss>("huber_loss"),
    replace<aten::huber_loss_out, &at::cpu::huber_loss_outf>("huber_loss"),
    replace<aten::huber_loss_backward_out, &at::cpu::huber_loss_backward_outf>("huber_loss"),
    replace<aten::huber_loss_backward, &at::compositeexplicitautograd::huber_loss_backward>("huber_loss"),
    replace<aten::binary_cross_entropy, &at::cpu::binary_cross_entropy>("binary_cross_entropy"),
    replace<aten::binary_cross_entropy_out, &at::cpu::binary_cross_entropy_outf>("binary_cross_entropy"),
    replace<aten::binary_cross_entropy_backward_grad_input, &at::cpu::binary_cross_entropy_backward_outf>(
        "binary_cross_entropy"),
    replace<aten::binary_cross_entropy_backward, &at::cpu::binary_cross_entropy_backward>("binary_cross_entropy"),
    replace<aten::binary_cross_entropy_with_logits, &at::compositeexplicitautograd::binary_cross_entropy_with_logits>(
        "binary_cross_entropy_with_logits"),
    replace<aten::nll_loss_forward, &at::cpu::nll_loss_forward_symint, &Own<ops::_nll_loss_forward>::call>("nll_loss"),
    replace<aten::nll_loss_backward, &at::cpu::nll_loss_backward_symint>("nll_loss"),
});

}  // namespace
}  // namespace rusttorch::patch
