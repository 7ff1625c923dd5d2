#pragma once
#include <pybind11/pybind11.h>

namespace rusttorch {
// Adds one function per operator to `module`. They go straight to the typed dispatcher handle: 0.5 us less than torch.ops.
void register_calls(pybind11::module_& module);
void register_reduction_calls(pybind11::module_& module);
void register_normalization_calls(pybind11::module_& module);
// Adds the submodule `fast`; see fast_calls.cpp.
void register_fast_calls(pybind11::module_& module);
}  // namespace rusttorch
