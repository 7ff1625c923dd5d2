// Dropout is composite, and patched in Python; what attention and other compositions in C++ draw their masks with is here.
#include "../ops/torch_headers.h"

#include "override.h"

#include <ATen/ops/bernoulli_cpu_dispatch.h>
#include <ATen/ops/bernoulli_ops.h>

namespace rusttorch::patch {
namespace {

[[maybe_unused]] const bool listed = list({
    replace<at::_ops::bernoulli__float, &at::cpu::bernoulli_>("dropout"),
});

}  // namespace
}  // namespace rusttorch::patch
