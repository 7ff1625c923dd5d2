// ATen's kernels that layer_norm stands in for. rms_norm is composite: the Python function is patched.
#include "../ops/torch_headers.h"

#include "override.h"

#include <ATen/ops/native_layer_norm_backward_cpu_dispatch.h>
#include <ATen/ops/native_layer_norm_backward_ops.h>
#include <ATen/ops/native_layer_norm_cpu_dispatch.h>
#include <ATen/ops/native_layer_norm_ops.h>

namespace rusttorch::patch {
namespace {

namespace aten = at::_ops;

[[maybe_unused]] const bool listed = list({
    replace<aten::native_layer_norm, &at::cpu::native_layer_norm_symint>("layer_norm"),
    replace<aten::native_layer_norm_backward, &at::cpu::native_layer_norm_backward_symint>("layer_norm"),
});

}  // namespace
}  // namespace rusttorch::patch
