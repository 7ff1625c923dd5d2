// What the machine can do at most, for `python -m torchext bench`: torch-free measurements behind torchext._C.
#pragma once
#include <torch/csrc/utils/pybind.h>

namespace rusttorch {

// Adds limits_triad, limits_read, limits_fma, limits_divide, limits_integer, limits_lanes and empty_call to the module.
void register_limits(pybind11::module_& m);

}  // namespace rusttorch
