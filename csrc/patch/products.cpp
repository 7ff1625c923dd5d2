// ATen's kernels that products stand in for. linear and matmul are composites, which reach these.
#include "../ops/torch_headers.h"

#include "override.h"

#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/addmm_ops.h>
#include <ATen/ops/baddbmm_cpu_dispatch.h>
#include <ATen/ops/baddbmm_ops.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/bmm_ops.h>
#include <ATen/ops/mm_cpu_dispatch.h>
#include <ATen/ops/mm_ops.h>

namespace rusttorch::patch {
namespace {

namespace aten = at::_ops;

[[maybe_unused]] const bool listed = list({
    replace<aten::mm, &at::cpu::mm>("mm"),
    replace<aten::mm_out, &at::cpu::mm_outf>("mm"),
    replace<aten::bmm, &at::cpu::bmm>("bmm"),
    replace<aten::bmm_out, &at::cpu::bmm_outf>("bmm"),
    replace<aten::addmm, &at::cpu::addmm>("addmm"),
    replace<aten::addmm_, &at::cpu::addmm_>("addmm"),
    replace<aten::addmm_out, &at::cpu::addmm_outf>("addmm"),
    replace<aten::baddbmm, &at::cpu::baddbmm>("baddbmm"),
    replace<aten::baddbmm_, &at::cpu::baddbmm_>("baddbmm"),
    replace<aten::baddbmm_out, &at::cpu::baddbmm_outf>("baddbmm"),
});

}  // namespace
}  // namespace rusttorch::patch
