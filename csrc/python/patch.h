#pragma once
#include <pybind11/pybind11.h>

namespace rusttorch {

void register_patch(pybind11::module_& module);

}  // namespace rusttorch
