#include "../ops/torch_headers.h"

#include "calls.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/add_ops.h>
#include <ATen/ops/addmm_ops.h>
#include <ATen/ops/baddbmm_ops.h>
#include <ATen/ops/bernoulli_ops.h>
#include <ATen/ops/binary_cross_entropy_ops.h>
#include <ATen/ops/binary_cross_entropy_with_logits_ops.h>
#include <ATen/ops/bmm_ops.h>
#include <ATen/ops/cross_entropy_loss_ops.h>
#include <ATen/ops/div_ops.h>
#include <ATen/ops/elu_ops.h>
#include <ATen/ops/gelu_ops.h>
#include <ATen/ops/huber_loss_ops.h>
#include <ATen/ops/l1_loss_ops.h>
#include <ATen/ops/leaky_relu_ops.h>
#include <ATen/ops/linear_ops.h>
#include <ATen/ops/log_softmax_ops.h>
#include <ATen/ops/logsumexp_ops.h>
#include <ATen/ops/matmul_ops.h>
#include <ATen/ops/mm_ops.h>
#include <ATen/ops/mse_loss_ops.h>
#include <ATen/ops/mul_ops.h>
#include <ATen/ops/nll_loss_nd_ops.h>
#include <ATen/ops/smooth_l1_loss_ops.h>
#include <ATen/ops/softmax_ops.h>
#include <ATen/ops/softplus_ops.h>
#include <ATen/ops/sub_ops.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>

#include "../ops/cross_entropy_run.h"
#include "../ops/linear.h"
#include "../ops/own_schemas.h"
#include "../ops/registration.h"
#include "../ops/weighted_losses.h"

namespace rusttorch {
// A Python number on its way into an operator: torch's own caster for c10::Scalar does not load.
struct Number {
  c10::Scalar scalar;
};
}  // namespace rusttorch

template <>
struct pybind11::detail::type_caster<rusttorch::Number> {
  PYBIND11_TYPE_CASTER(rusttorch::Number, const_name("Number"));

  static bool is_numpy_scalar(PyObject* object) {
    const std::string_view name = Py_TYPE(object)->tp_name;
    return name.starts_with("numpy.") && name != "numpy.ndarray";
  }

  // bool, int, float, complex, and NumPy's scalars. A tensor as a number is torch's business, a symbolic one torch.ops'.
  bool load(handle source, bool) {
    PyObject* object = source.ptr();
    if (PyFloat_Check(object)) {
      value.scalar = PyFloat_AS_DOUBLE(object);
    } else if (PyBool_Check(object)) {
      value.scalar = object == Py_True;
    } else if (PyComplex_Check(object)) {
      value.scalar = c10::complex<double>(PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object));
    } else if (PyLong_Check(object) || (is_numpy_scalar(object) && PyIndex_Check(object))) {
      const auto integer = reinterpret_steal<pybind11::object>(PyNumber_Index(object));
      int overflow = 0;
      const long long number = integer ? PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow) : -1;
      if (overflow > 0) value.scalar = static_cast<uint64_t>(PyLong_AsUnsignedLongLong(integer.ptr()));
      else if (overflow < 0) PyLong_AsLongLong(integer.ptr());  // raises
      else value.scalar = static_cast<int64_t>(number);
      if (PyErr_Occurred()) throw error_already_set();
    } else if (is_numpy_scalar(object)) {
      const double number = PyFloat_AsDouble(object);
      if (PyErr_Occurred()) throw error_already_set();
      value.scalar = number;
    } else {
      return false;
    }
    return true;
  }
};

namespace rusttorch {
namespace {

namespace py = pybind11;
using at::Scalar;
using at::Tensor;

// A Python function that calls `Aten`'s namesake in rusttorch:: without the GIL, raising torch's exception classes.
template <class Aten, class Signature = typename Aten::schema>
struct Call;
template <class Arg>
struct FromPython {
  using type = Arg;
  static Arg pass(type value) { return value; }
};
template <>
struct FromPython<Tensor&> {
  using type = Tensor;  // by value, as pybind11's caster holds it
  static Tensor& pass(type& value) { return value; }
};
template <>
struct FromPython<const Scalar&> {
  using type = const Number&;
  static const Scalar& pass(type value) { return value.scalar; }
};
template <class Aten, class Result, class... Args>
struct Call<Aten, Result(Args...)> {
  static Tensor run(typename FromPython<Args>::type... args) {
    return handle<Aten>().call(FromPython<Args>::pass(args)...);
  }
};

template <class Aten, class... Arguments>
void bind(py::module_& module, const char* name, const Arguments&... arguments) {
  module.def(name, torch::wrap_pybind_function_no_gil(&Call<Aten>::run), arguments...);
}

const py::arg input("input"), other("other"), out("out"), dim("dim"), dtype("dtype");
const py::arg target("target"), reduction("reduction");

}  // namespace

void register_calls(py::module_& module) {
  using namespace at::_ops;
  bind<add_Tensor>(module, "add", input, other, py::arg("alpha") = 1);
  bind<add_Scalar>(module, "add", input, other, py::arg("alpha") = 1);
  bind<add__Tensor>(module, "add_", input, other, py::arg("alpha") = 1);
  bind<add__Scalar>(module, "add_", input, other, py::arg("alpha") = 1);
  bind<sub_Tensor>(module, "sub", input, other, py::arg("alpha") = 1);
  bind<sub_Scalar>(module, "sub", input, other, py::arg("alpha") = 1);
  bind<sub__Tensor>(module, "sub_", input, other, py::arg("alpha") = 1);
  bind<sub__Scalar>(module, "sub_", input, other, py::arg("alpha") = 1);
  bind<mul_Tensor>(module, "mul", input, other);
  bind<mul_Scalar>(module, "mul", input, other);
  bind<mul__Tensor>(module, "mul_", input, other);
  bind<mul__Scalar>(module, "mul_", input, other);
  bind<div_Tensor>(module, "div", input, other);
  bind<div_Scalar>(module, "div", input, other);
  bind<div_Tensor_mode>(module, "div", input, other, py::arg("rounding_mode"));
  bind<div_Scalar_mode>(module, "div", input, other, py::arg("rounding_mode"));
  bind<div__Tensor>(module, "div_", input, other);
  bind<div__Scalar>(module, "div_", input, other);
  bind<div__Tensor_mode>(module, "div_", input, other, py::arg("rounding_mode"));
  bind<div__Scalar_mode>(module, "div_", input, other, py::arg("rounding_mode"));
  bind<ops::fused_multiply_add>(module, "fused_multiply_add", py::arg("a"), py::arg("b"), py::arg("c"));

  bind<leaky_relu>(module, "leaky_relu", input, py::arg("negative_slope"));
  bind<leaky_relu_>(module, "leaky_relu_", input, py::arg("negative_slope"));
  bind<elu>(module, "elu", input, py::arg("alpha"), py::arg("scale") = 1, py::arg("input_scale") = 1);
  bind<elu_>(module, "elu_", input, py::arg("alpha"), py::arg("scale") = 1, py::arg("input_scale") = 1);
  bind<bernoulli__float>(module, "bernoulli_", input, py::arg("p"), py::arg("generator"));
  bind<gelu>(module, "gelu", input, py::arg("approximate"));
  bind<softplus>(module, "softplus", input, py::arg("beta"), py::arg("threshold"));
  bind<softmax_int>(module, "softmax", input, dim, dtype);
  bind<log_softmax_int>(module, "log_softmax", input, dim, dtype);
  bind<logsumexp>(module, "logsumexp", input, dim, py::arg("keepdim"));
  bind<cross_entropy_loss>(module, "cross_entropy_loss", input, py::arg("target"), py::arg("weight"),
                           py::arg("reduction"), py::arg("ignore_index"), py::arg("label_smoothing"));
  module.def("entropy_in_place", torch::wrap_pybind_function_no_gil(&entropy_in_place), py::arg("logits"),
             py::arg("target"), py::arg("weight"), py::arg("scale"), py::arg("ignore_index"),
             py::arg("label_smoothing"),
             "The sum of the losses of these logits, which their gradient times `scale` replaces.");
  bind<nll_loss_nd>(module, "nll_loss_nd", input, py::arg("target"), py::arg("weight"), py::arg("reduction"),
                    py::arg("ignore_index"));

  bind<matmul>(module, "matmul", input, py::arg("other"));
  bind<mm>(module, "mm", input, py::arg("mat2"));
  bind<bmm>(module, "bmm", input, py::arg("mat2"));
  bind<addmm>(module, "addmm", input, py::arg("mat1"), py::arg("mat2"), py::arg("beta"), py::arg("alpha"));
  bind<baddbmm>(module, "baddbmm", input, py::arg("batch1"), py::arg("batch2"), py::arg("beta"), py::arg("alpha"));
  bind<linear>(module, "linear", input, py::arg("weight"), py::arg("bias"));
  bind<ops::linear_act>(module, "linear_act", input, py::arg("weight"), py::arg("bias"), py::arg("activation"));

  bind<mse_loss>(module, "mse_loss", input, target, reduction);
  bind<l1_loss>(module, "l1_loss", input, target, reduction);
  bind<smooth_l1_loss>(module, "smooth_l1_loss", input, target, reduction, py::arg("beta"));
  bind<huber_loss>(module, "huber_loss", input, target, reduction, py::arg("delta"));
  bind<binary_cross_entropy>(module, "binary_cross_entropy", input, target, py::arg("weight"), reduction);
  bind<binary_cross_entropy_with_logits>(module, "binary_cross_entropy_with_logits", input, target, py::arg("weight"),
                                         py::arg("pos_weight"), reduction);
  bind<ops::_weighted_mse_loss>(module, "_weighted_mse_loss", input, target, py::arg("weight"), reduction);
  bind<ops::_weighted_l1_loss>(module, "_weighted_l1_loss", input, target, py::arg("weight"), reduction);
  bind<ops::_weighted_huber_loss>(module, "_weighted_huber_loss", input, target, py::arg("weight"), reduction,
                                  py::arg("delta"));
}

}  // namespace rusttorch
