// ATen's kernels that the activations stand in for. selu is elu by the time it gets here.
#include "../ops/torch_headers.h"

#include "override.h"

#include <ATen/ops/elu_backward_cpu_dispatch.h>
#include <ATen/ops/elu_backward_ops.h>
#include <ATen/ops/elu_cpu_dispatch.h>
#include <ATen/ops/elu_ops.h>
#include <ATen/ops/gelu_backward_cpu_dispatch.h>
#include <ATen/ops/gelu_backward_ops.h>
#include <ATen/ops/gelu_cpu_dispatch.h>
#include <ATen/ops/gelu_ops.h>
#include <ATen/ops/leaky_relu_backward_cpu_dispatch.h>
#include <ATen/ops/leaky_relu_backward_ops.h>
#include <ATen/ops/leaky_relu_cpu_dispatch.h>
#include <ATen/ops/leaky_relu_ops.h>
#include <ATen/ops/mish_backward_cpu_dispatch.h>
#include <ATen/ops/mish_backward_ops.h>
#include <ATen/ops/mish_cpu_dispatch.h>
#include <ATen/ops/mish_ops.h>
#include <ATen/ops/relu_cpu_dispatch.h>
#include <ATen/ops/relu_ops.h>
#include <ATen/ops/sigmoid_backward_cpu_dispatch.h>
#include <ATen/ops/sigmoid_backward_ops.h>
#include <ATen/ops/sigmoid_cpu_dispatch.h>
#include <ATen/ops/sigmoid_ops.h>
#include <ATen/ops/silu_backward_cpu_dispatch.h>
#include <ATen/ops/silu_backward_ops.h>
#include <ATen/ops/silu_cpu_dispatch.h>
#include <ATen/ops/silu_ops.h>
#include <ATen/ops/softplus_backward_cpu_dispatch.h>
#include <ATen/ops/softplus_backward_ops.h>
#include <ATen/ops/softplus_cpu_dispatch.h>
#include <ATen/ops/softplus_ops.h>
#include <ATen/ops/tanh_backward_cpu_dispatch.h>
#include <ATen/ops/tanh_backward_ops.h>
#include <ATen/ops/tanh_cpu_dispatch.h>
#include <ATen/ops/tanh_ops.h>
#include <ATen/ops/threshold_backward_cpu_dispatch.h>
#include <ATen/ops/threshold_backward_ops.h>

namespace rusttorch::patch {
namespace {

namespace aten = at::_ops;

[[maybe_unused]] const bool listed = list({
    replace<aten::relu, &at::cpu::relu>("relu"),
    replace<aten::relu_, &at::cpu::relu_>("relu"),
    replace<aten::threshold_backward, &at::cpu::threshold_backward>("relu"),
    replace<aten::leaky_relu, &at::cpu::leaky_relu>("leaky_relu"),
    replace<aten::leaky_relu_, &at::cpu::leaky_relu_>("leaky_relu"),
    replace<aten::leaky_relu_out, &at::cpu::leaky_relu_outf>("leaky_relu"),
    replace<aten::leaky_relu_backward, &at::cpu::leaky_relu_backward>("leaky_relu"),
    replace<aten::elu, &at::cpu::elu>("elu"),
    replace<aten::elu_, &at::cpu::elu_>("elu"),
    replace<aten::elu_out, &at::cpu::elu_outf>("elu"),
    replace<aten::elu_backward, &at::cpu::elu_backward>("elu"),
    replace<aten::gelu, &at::cpu::gelu>("gelu"),
    replace<aten::gelu_, &at::cpu::gelu_>("gelu"),
    replace<aten::gelu_out, &at::cpu::gelu_outf>("gelu"),
    replace<aten::gelu_backward, &at::cpu::gelu_backward>("gelu"),
    replace<aten::sigmoid, &at::cpu::sigmoid>("sigmoid"),
    replace<aten::sigmoid_, &at::cpu::sigmoid_>("sigmoid"),
    replace<aten::sigmoid_out, &at::cpu::sigmoid_outf>("sigmoid"),
    replace<aten::sigmoid_backward, &at::cpu::sigmoid_backward>("sigmoid"),
    replace<aten::tanh, &at::cpu::tanh>("tanh"),
    replace<aten::tanh_, &at::cpu::tanh_>("tanh"),
    replace<aten::tanh_out, &at::cpu::tanh_outf>("tanh"),
    replace<aten::tanh_backward, &at::cpu::tanh_backward>("tanh"),
    replace<aten::softplus, &at::cpu::softplus>("softplus"),
    replace<aten::softplus_out, &at::cpu::softplus_outf>("softplus"),
    replace<aten::softplus_backward, &at::cpu::softplus_backward>("softplus"),
    replace<aten::silu, &at::cpu::silu>("silu"),
    replace<aten::silu_, &at::cpu::silu_>("silu"),
    replace<aten::silu_out, &at::cpu::silu_outf>("silu"),
    replace<aten::silu_backward, &at::cpu::silu_backward>("silu"),
    replace<aten::mish, &at::cpu::mish>("mish"),
    replace<aten::mish_, &at::cpu::mish_>("mish"),
    replace<aten::mish_out, &at::cpu::mish_outf>("mish"),
    replace<aten::mish_backward, &at::cpu::mish_backward>("mish"),
});

}  // namespace
}  // namespace rusttorch::patch
