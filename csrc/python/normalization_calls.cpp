// Normalisation and dropout for Python: as calls.cpp, with lists of sizes.
#include "../ops/torch_headers.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/dropout_ops.h>
#include <ATen/ops/layer_norm_ops.h>
#include <ATen/ops/rms_norm_ops.h>
#include <c10/core/SymIntArrayRef.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/utils/pybind.h>

#include "../ops/registration.h"
#include "calls.h"

namespace rusttorch {
namespace {

using at::Tensor;
using Sizes = std::vector<int64_t>;
using Weights = std::optional<Tensor>;

Tensor layer_norm(const Tensor& input, const Sizes& sizes, const Weights& weight, const Weights& bias, double eps,
                  bool cudnn_enable) {
  return handle<at::_ops::layer_norm>().call(input, c10::fromIntArrayRefSlow(sizes), weight, bias, eps, cudnn_enable);
}
Tensor rms_norm(const Tensor& input, const Sizes& sizes, const Weights& weight, std::optional<double> eps) {
  return handle<at::_ops::rms_norm>().call(input, c10::fromIntArrayRefSlow(sizes), weight, eps);
}
Tensor dropout(const Tensor& input, double p, bool train) { return handle<at::_ops::dropout>().call(input, p, train); }
Tensor dropout_(Tensor input, double p, bool train) { return handle<at::_ops::dropout_>().call(input, p, train); }

}  // namespace

void register_normalization_calls(pybind11::module_& module) {
  using pybind11::arg;
  module.def("layer_norm", torch::wrap_pybind_function_no_gil(&layer_norm), arg("input"), arg("normalized_shape"),
             arg("weight"), arg("bias"), arg("eps"), arg("cudnn_enable"));
  module.def("rms_norm", torch::wrap_pybind_function_no_gil(&rms_norm), arg("input"), arg("normalized_shape"),
             arg("weight"), arg("eps"));
  module.def("dropout", torch::wrap_pybind_function_no_gil(&dropout), arg("input"), arg("p"), arg("train"));
  module.def("dropout_", torch::wrap_pybind_function_no_gil(&dropout_), arg("input"), arg("p"), arg("train"));
}

}  // namespace rusttorch
