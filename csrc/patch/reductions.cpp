// ATen's kernels that the reductions stand in for. sum() and mean() of a whole tensor reach those of dims by themselves.
#include "../ops/torch_headers.h"

#include "override.h"

#include <ATen/ops/amax_cpu_dispatch.h>
#include <ATen/ops/amax_ops.h>
#include <ATen/ops/amin_cpu_dispatch.h>
#include <ATen/ops/amin_ops.h>
#include <ATen/ops/argmax_cpu_dispatch.h>
#include <ATen/ops/argmax_ops.h>
#include <ATen/ops/argmin_cpu_dispatch.h>
#include <ATen/ops/argmin_ops.h>
#include <ATen/ops/logsumexp_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/logsumexp_ops.h>
#include <ATen/ops/max_cpu_dispatch.h>
#include <ATen/ops/max_ops.h>
#include <ATen/ops/mean_cpu_dispatch.h>
#include <ATen/ops/mean_ops.h>
#include <ATen/ops/min_cpu_dispatch.h>
#include <ATen/ops/min_ops.h>
#include <ATen/ops/std_cpu_dispatch.h>
#include <ATen/ops/std_ops.h>
#include <ATen/ops/sum_cpu_dispatch.h>
#include <ATen/ops/sum_ops.h>
#include <ATen/ops/var_cpu_dispatch.h>
#include <ATen/ops/var_ops.h>

namespace rusttorch::patch {
namespace {

namespace aten = at::_ops;

[[maybe_unused]] const bool listed = list({
    replace<aten::sum_dim_IntList, &at::cpu::sum>("sum"),
    replace<aten::mean_dim, &at::cpu::mean>("mean"),
    replace<aten::max, &at::cpu::max>("max"),
    replace<aten::max_dim, &at::cpu::max>("max"),
    replace<aten::min, &at::cpu::min>("min"),
    replace<aten::min_dim, &at::cpu::min>("min"),
    replace<aten::amax, &at::cpu::amax>("amax"),
    replace<aten::amin, &at::cpu::amin>("amin"),
    replace<aten::argmax, &at::cpu::argmax>("argmax"),
    replace<aten::argmin, &at::cpu::argmin>("argmin"),
    replace<aten::var_correction, &at::cpu::var>("var"),
    replace<aten::std_correction, &at::cpu::std>("std"),
    replace<aten::logsumexp, &at::compositeexplicitautograd::logsumexp>("logsumexp"),
});

}  // namespace
}  // namespace rusttorch::patch
