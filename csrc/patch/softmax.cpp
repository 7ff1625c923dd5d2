// ATen's kernels that softmax and log_softmax stand in for: the leaves, not the composite operators above them.
#include "../ops/torch_headers.h"

#include "override.h"

#include <ATen/ops/_log_softmax_backward_data_cpu_dispatch.h>
#include <ATen/ops/_log_softmax_backward_data_ops.h>
#include <ATen/ops/_log_softmax_cpu_dispatch.h>
#include <ATen/ops/_log_softmax_ops.h>
#include <ATen/ops/_softmax_backward_data_cpu_dispatch.h>
#include <ATen/ops/_softmax_backward_data_ops.h>
#include <ATen/ops/_softmax_cpu_dispatch.h>
#include <ATen/ops/_softmax_ops.h>
#include <ATen/ops/log_softmax_ops.h>
#include <ATen/ops/softmax_ops.h>

namespace rusttorch::patch {
namespace {

namespace aten = at::_ops;

// half_to_float is for CUDA, and refused by the stock kernel.
template <class Whole, class Leaf, typename Leaf::schema* stock>
at::Tensor softmax_leaf(const at::Tensor& self, int64_t dim, bool half_to_float) {
  return half_to_float ? stock(self, dim, true) : Own<Whole>::call(self, dim, std::nullopt);
}

[[maybe_unused]] const bool listed = list({
    replace<aten::_softmax, &at::cpu::_softmax, &softmax_leaf<aten::softmax_int, aten::_softmax, &at::cpu::_softmax>>(
        "softmax"),
    replace<aten::_softmax_backward_data, &at::cpu::_softmax_backward_data>("softmax"),
    replace<aten::_log_softmax, &at::cpu::_log_softmax,
            &softmax_leaf<aten::log_softmax_int, aten::_log_softmax, &at::cpu::_log_softmax>>("log_softmax"),
    replace<aten::_log_softmax_backward_data, &at::cpu::_log_softmax_backward_data>("log_softmax"),
});

}  // namespace
}  // namespace rusttorch::patch
