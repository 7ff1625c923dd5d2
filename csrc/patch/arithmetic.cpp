// ATen's kernels that the arithmetic operators stand in for. add.Scalar and its like reach them by themselves.
#include "../ops/torch_headers.h"

#include "override.h"

#include <ATen/ops/add_cpu_dispatch.h>
#include <ATen/ops/add_ops.h>
#include <ATen/ops/div_cpu_dispatch.h>
#include <ATen/ops/div_ops.h>
#include <ATen/ops/mul_cpu_dispatch.h>
#include <ATen/ops/mul_ops.h>
#include <ATen/ops/sub_cpu_dispatch.h>
#include <ATen/ops/sub_ops.h>

namespace rusttorch::patch {
namespace {

namespace aten = at::_ops;

[[maybe_unused]] const bool listed = list({
    replace<aten::add_Tensor, &at::cpu::add>("add"),
    replace<aten::add__Tensor, &at::cpu::add_>("add"),
    replace<aten::add_out, &at::cpu::add_outf>("add"),
    replace<aten::sub_Tensor, &at::cpu::sub>("sub"),
    replace<aten::sub__Tensor, &at::cpu::sub_>("sub"),
    replace<aten::sub_out, &at::cpu::sub_outf>("sub"),
    replace<aten::mul_Tensor, &at::cpu::mul>("mul"),
    replace<aten::mul__Tensor, &at::cpu::mul_>("mul"),
    replace<aten::mul_out, &at::cpu::mul_outf>("mul"),
    replace<aten::div_Tensor, &at::cpu::div>("div"),
    replace<aten::div__Tensor, &at::cpu::div_>("div"),
    replace<aten::div_out, &at::cpu::div_outf>("div"),
    replace<aten::div_Tensor_mode, &at::cpu::div>("div"),
    replace<aten::div__Tensor_mode, &at::cpu::div_>("div"),
    replace<aten::div_out_mode, &at::cpu::div_outf>("div"),
});

}  // namespace
}  // namespace rusttorch::patch
