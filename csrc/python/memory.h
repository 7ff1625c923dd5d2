#pragma once
#include <pybind11/pybind11.h>

namespace rusttorch {
void register_memory(pybind11::module_& module);
}
