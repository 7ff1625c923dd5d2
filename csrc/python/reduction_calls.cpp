// The reductions for Python: as calls.cpp, with lists of dims and pairs of results.
#include "../ops/torch_headers.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/amax_ops.h>
#include <ATen/ops/amin_ops.h>
#include <ATen/ops/argmax_ops.h>
#include <ATen/ops/argmin_ops.h>
#include <ATen/ops/max_ops.h>
#include <ATen/ops/mean_ops.h>
#include <ATen/ops/min_ops.h>
#include <ATen/ops/std_ops.h>
#include <ATen/ops/sum_ops.h>
#include <ATen/ops/var_ops.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/utils/pybind.h>

#include "../ops/registration.h"
#include "calls.h"

namespace rusttorch {
namespace {

namespace py = pybind11;
using at::Tensor;
using Dims = std::vector<int64_t>;
using Dtype = std::optional<at::ScalarType>;

// Not named bind: beside arguments of std:: types that would be std::bind.
// function(...) without the GIL, raising torch's exception classes.
template <class Function, class... Arguments>
void add_function(py::module_& module, const char* name, Function function, const Arguments&... arguments) {
  module.def(name, torch::wrap_pybind_function_no_gil(function), arguments...);
}

template <class Whole, class AlongDims>
void bind_sum(py::module_& module, const char* name) {
  add_function(
      module, name, +[](const Tensor& input, Dtype dtype) { return handle<Whole>().call(input, dtype); },
      py::arg("input"), py::arg("dtype"));
  add_function(
      module, name,
      +[](const Tensor& input, const Dims& dims, bool keepdim, Dtype dtype) {
        return handle<AlongDims>().call(input, at::OptionalIntArrayRef(dims), keepdim, dtype);
      },
      py::arg("input"), py::arg("dim"), py::arg("keepdim"), py::arg("dtype"));
}

template <class Aten>
void bind_deviation(py::module_& module, const char* name) {
  add_function(
      module, name,
      +[](const Tensor& input, const std::optional<Dims>& dims, double correction, bool keepdim) {
        const at::OptionalIntArrayRef along = dims ? at::OptionalIntArrayRef(*dims) : std::nullopt;
        return handle<Aten>().call(input, along, at::Scalar(correction), keepdim);
      },
      py::arg("input"), py::arg("dim"), py::arg("correction"), py::arg("keepdim"));
}

template <class Whole, class AlongDim, class AlongDims, class Places>
void bind_extreme(py::module_& module, const char* name, const char* along_dims, const char* places) {
  add_function(module, name, +[](const Tensor& input) { return handle<Whole>().call(input); }, py::arg("input"));
  add_function(
      module, name,
      +[](const Tensor& input, int64_t dim, bool keepdim) { return handle<AlongDim>().call(input, dim, keepdim); },
      py::arg("input"), py::arg("dim"), py::arg("keepdim"));
  add_function(
      module, along_dims,
      +[](const Tensor& input, const Dims& dims, bool keepdim) {
        return handle<AlongDims>().call(input, dims, keepdim);
      },
      py::arg("input"), py::arg("dim"), py::arg("keepdim"));
  add_function(
      module, places,
      +[](const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
        return handle<Places>().call(input, dim, keepdim);
      },
      py::arg("input"), py::arg("dim"), py::arg("keepdim"));
}

}  // namespace

void register_reduction_calls(py::module_& module) {
  using namespace at::_ops;
  bind_sum<sum, sum_dim_IntList>(module, "sum");
  bind_sum<mean, mean_dim>(module, "mean");
  bind_deviation<var_correction>(module, "var");
  bind_deviation<std_correction>(module, "std");
  bind_extreme<max, max_dim, amax, argmax>(module, "max", "amax", "argmax");
  bind_extreme<min, min_dim, amin, argmin>(module, "min", "amin", "argmin");
}

}  // namespace rusttorch
