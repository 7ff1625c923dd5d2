// The shortest way into the operators that are called most: add(input, other) and the like for plain tensors and numbers,
// and unary(name, ...), unary_(name), which make such a function for any operator of one tensor. Anything else (a
// subclass, a torch function mode, a number of another type) gets NotImplemented, and the caller goes the general way.
// For two tensors of 64 elements this saves 0.5 us over pybind11 with its overloads.
#include "../ops/torch_headers.h"

#include <ATen/PythonTorchFunctionTLS.h>
#include <ATen/core/Reduction.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/add_ops.h>
#include <ATen/ops/addmm_ops.h>
#include <ATen/ops/baddbmm_ops.h>
#include <ATen/ops/binary_cross_entropy_ops.h>
#include <ATen/ops/binary_cross_entropy_with_logits_ops.h>
#include <ATen/ops/bmm_ops.h>
#include <ATen/ops/div_ops.h>
#include <ATen/ops/huber_loss_ops.h>
#include <ATen/ops/l1_loss_ops.h>
#include <ATen/ops/matmul_ops.h>
#include <ATen/ops/mm_ops.h>
#include <ATen/ops/mse_loss_ops.h>
#include <ATen/ops/mul_ops.h>
#include <ATen/ops/smooth_l1_loss_ops.h>
#include <ATen/ops/sub_ops.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>

#include "../ops/registration.h"
#include "calls.h"

namespace rusttorch {
namespace {

using at::Scalar;
using at::Tensor;

bool is_plain_tensor(PyObject* object) {
  PyTypeObject* const type = Py_TYPE(object);
  return reinterpret_cast<PyObject*>(type) == THPVariableClass || reinterpret_cast<PyObject*>(type) == ParameterClass;
}
// torch's exception class and words; `capsule` is named after the operator.
void refuse_non_tensor(PyObject* capsule, PyObject* object) {
  TORCH_CHECK_TYPE(THPVariable_Check(object) || PyObject_HasAttrString(object, "__torch_function__"),
                   PyCapsule_GetName(capsule), "(): argument 'input' (position 1) must be Tensor, not ",
                   Py_TYPE(object)->tp_name);
}
bool is_active_mode() { return at::impl::torch_function_mode_enabled(); }

// An operator f(self, further...) with its further arguments fixed: what the Python function holds in a capsule.
template <class Result, class Self, class... Further>
struct Bound {
  using Schema = Result(Self, typename Further::Argument...);
  c10::TypedOperatorHandle<Schema> operation;
  std::tuple<Further...> further;
  Tensor operator()(Self self) const {
    return std::apply([&](const auto&... fixed) { return operation.call(self, fixed.value...); }, further);
  }
};
struct Number {
  using Argument = const Scalar&;
  Scalar value;
};
struct Text {
  using Argument = std::string_view;
  std::string value;
};
template <class... Further>
using Functional = Bound<Tensor, const Tensor&, Further...>;
using Inplace = Bound<Tensor&, Tensor&>;

template <class Call>
PyObject* unary(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  if (count != 1 || !is_plain_tensor(args[0]) || is_active_mode()) {
    if (count == 1) refuse_non_tensor(self, args[0]);
    Py_RETURN_NOTIMPLEMENTED;
  }
  const auto& call = *static_cast<const Call*>(PyCapsule_GetPointer(self, PyCapsule_GetName(self)));
  Tensor tensor = THPVariable_Unpack(args[0]);
  Tensor result;
  {
    pybind11::gil_scoped_release release;
    result = call(tensor);
  }
  if (std::is_same_v<Call, Inplace>) return Py_NewRef(args[0]);
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

using FastCall = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t);
PyMethodDef method(const char* name, FastCall function) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function)), METH_FASTCALL, nullptr};
}

// A function for rusttorch::<name>; it and what it holds live for ever.
template <class Call, class... Further>
pybind11::object make(const std::string& name, const Further&... further) {
  const auto operation = c10::Dispatcher::singleton().findSchemaOrThrow(("rusttorch::" + name).c_str(), "");
  auto* call = new Call{operation.typed<typename Call::Schema>(), {further...}};
  const char* own_name = (new std::string(name))->c_str();
  auto* definition = new PyMethodDef(method(own_name, &unary<Call>));
  const auto capsule = pybind11::reinterpret_steal<pybind11::object>(PyCapsule_New(call, own_name, nullptr));
  return pybind11::reinterpret_steal<pybind11::object>(PyCFunction_NewEx(definition, capsule.ptr(), nullptr));
}

pybind11::object make_functional(const std::string& name, const pybind11::args& further) {
  if (further.size() == 1 && pybind11::isinstance<pybind11::str>(further[0])) {
    return make<Functional<Text>>(name, Text{further[0].cast<std::string>()});
  }
  std::vector<Number> numbers;
  for (const auto& number : further) numbers.push_back({number.cast<double>()});
  switch (numbers.size()) {
    case 0: return make<Functional<>>(name);
    case 1: return make<Functional<Number>>(name, numbers[0]);
    case 2: return make<Functional<Number, Number>>(name, numbers[0], numbers[1]);
    case 3: return make<Functional<Number, Number, Number>>(name, numbers[0], numbers[1], numbers[2]);
    default: throw pybind11::value_error("unary(): expected at most 3 numbers");
  }
}

// With alpha = 1 where the schema has one.
template <class Aten, class Other>
Tensor call_binary(const Tensor& input, const Other& other) {
  if constexpr (std::is_invocable_v<decltype(&Aten::call), const Tensor&, const Other&, const Scalar&>) {
    return handle<Aten>().call(input, other, 1);
  } else {
    return handle<Aten>().call(input, other);
  }
}

template <class OfTensor, class OfNumber>
PyObject* binary(PyObject*, PyObject* const* args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  if (count != 2 || !is_plain_tensor(args[0]) || is_active_mode()) Py_RETURN_NOTIMPLEMENTED;
  const Tensor& input = THPVariable_Unpack(args[0]);
  Tensor result;
  if (is_plain_tensor(args[1])) {
    const Tensor& other = THPVariable_Unpack(args[1]);
    pybind11::gil_scoped_release release;
    result = call_binary<OfTensor>(input, other);
  } else {
    Scalar number;
    if (PyFloat_CheckExact(args[1])) {
      number = PyFloat_AS_DOUBLE(args[1]);
    } else if (PyLong_CheckExact(args[1])) {
      int overflow = 0;
      number = static_cast<int64_t>(PyLong_AsLongLongAndOverflow(args[1], &overflow));
      if (overflow) Py_RETURN_NOTIMPLEMENTED;
    } else {
      Py_RETURN_NOTIMPLEMENTED;
    }
    pybind11::gil_scoped_release release;
    result = call_binary<OfNumber>(input, number);
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

// Of two tensors, or of a summand and two tensors, beta and alpha being 1.
template <class Aten, Py_ssize_t tensors>
PyObject* product(PyObject*, PyObject* const* args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  if (count != tensors || !std::all_of(args, args + tensors, is_plain_tensor) || is_active_mode()) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  const Tensor &first = THPVariable_Unpack(args[0]), &second = THPVariable_Unpack(args[1]);
  Tensor result;
  {
    pybind11::gil_scoped_release release;
    if constexpr (tensors == 2) result = handle<Aten>().call(first, second);
    else result = handle<Aten>().call(first, second, THPVariable_Unpack(args[2]), 1, 1);
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

// `reduction` as at::Reduction numbers it, or -1.
int64_t reduction_from(PyObject* object) {
  if (!PyUnicode_CheckExact(object)) return -1;
  if (PyUnicode_CompareWithASCIIString(object, "mean") == 0) return at::Reduction::Mean;
  if (PyUnicode_CompareWithASCIIString(object, "sum") == 0) return at::Reduction::Sum;
  return PyUnicode_CompareWithASCIIString(object, "none") == 0 ? int64_t(at::Reduction::None) : -1;
}

// loss(input, target, reduction) without weights, or loss(input, target, reduction, number): for tensors of one shape.
template <class Aten>
Tensor call_loss(const Tensor& input, const Tensor& target, int64_t reduction, double number) {
  using Weight = const std::optional<Tensor>&;
  if constexpr (std::is_invocable_v<decltype(&Aten::call), const Tensor&, const Tensor&, int64_t, double>) {
    return handle<Aten>().call(input, target, reduction, number);
  } else if constexpr (std::is_invocable_v<decltype(&Aten::call), const Tensor&, const Tensor&, int64_t>) {
    return handle<Aten>().call(input, target, reduction);
  } else if constexpr (std::is_invocable_v<decltype(&Aten::call), const Tensor&, const Tensor&, Weight, int64_t>) {
    return handle<Aten>().call(input, target, std::nullopt, reduction);
  } else {
    return handle<Aten>().call(input, target, std::nullopt, std::nullopt, reduction);
  }
}
bool has_plain_sizes(const Tensor& tensor) {
  return !tensor.is_nested() && !tensor.unsafeGetTensorImpl()->has_symbolic_sizes_strides();
}

template <class Aten, Py_ssize_t arguments>
PyObject* loss(PyObject*, PyObject* const* args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  if (count != arguments || !is_plain_tensor(args[0]) || !is_plain_tensor(args[1]) || is_active_mode()) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  const Tensor &input = THPVariable_Unpack(args[0]), &target = THPVariable_Unpack(args[1]);
  const int64_t reduction = reduction_from(args[2]);
  if (reduction < 0 || !has_plain_sizes(input) || !has_plain_sizes(target) || input.sizes() != target.sizes() ||
      (arguments == 4 && !PyFloat_CheckExact(args[arguments - 1]))) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  const double number = arguments == 4 ? PyFloat_AS_DOUBLE(args[arguments - 1]) : 0;
  Tensor result;
  {
    pybind11::gil_scoped_release release;
    result = call_loss<Aten>(input, target, reduction, number);
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

// Lives as long as the functions made of it: for ever.
PyMethodDef fast_methods[] = {
    method("add", &binary<at::_ops::add_Tensor, at::_ops::add_Scalar>),
    method("sub", &binary<at::_ops::sub_Tensor, at::_ops::sub_Scalar>),
    method("mul", &binary<at::_ops::mul_Tensor, at::_ops::mul_Scalar>),
    method("div", &binary<at::_ops::div_Tensor, at::_ops::div_Scalar>),
    method("mm", &product<at::_ops::mm, 2>),
    method("bmm", &product<at::_ops::bmm, 2>),
    method("matmul", &product<at::_ops::matmul, 2>),
    method("addmm", &product<at::_ops::addmm, 3>),
    method("baddbmm", &product<at::_ops::baddbmm, 3>),
    method("mse_loss", &loss<at::_ops::mse_loss, 3>),
    method("l1_loss", &loss<at::_ops::l1_loss, 3>),
    method("smooth_l1_loss", &loss<at::_ops::smooth_l1_loss, 4>),
    method("huber_loss", &loss<at::_ops::huber_loss, 4>),
    method("binary_cross_entropy", &loss<at::_ops::binary_cross_entropy, 3>),
    method("binary_cross_entropy_with_logits", &loss<at::_ops::binary_cross_entropy_with_logits, 3>),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_fast_calls(pybind11::module_& module) {
  pybind11::module_ fast = module.def_submodule("fast", "Calls for plain tensors; NotImplemented for anything else.");
  fast.def("unary", &make_functional, "The operator `name`, its further arguments fixed, as a function of one tensor.");
  fast.def("unary_", &make<Inplace>, "The in-place operator `name` as a function of one tensor.");
  if (PyModule_AddFunctions(fast.ptr(), fast_methods) != 0) throw pybind11::error_already_set();
}

}  // namespace rusttorch
