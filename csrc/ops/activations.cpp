// The elementwise activations: what each operator is called in ATen, which kernel row it runs, what its gradient needs.
// A new one is a struct of this form and one line in the registration at the end.
#include "torch_headers.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/elu_backward_ops.h>
#include <ATen/ops/elu_ops.h>
#include <ATen/ops/gelu_backward_ops.h>
#include <ATen/ops/gelu_ops.h>
#include <ATen/ops/leaky_relu_backward_ops.h>
#include <ATen/ops/leaky_relu_ops.h>
#include <ATen/ops/mish_ops.h>
#include <ATen/ops/relu_ops.h>
#include <ATen/ops/selu_ops.h>
#include <ATen/ops/sigmoid_backward_ops.h>
#include <ATen/ops/sigmoid_ops.h>
#include <ATen/ops/silu_ops.h>
#include <ATen/ops/softplus_backward_ops.h>
#include <ATen/ops/softplus_ops.h>
#include <ATen/ops/tanh_backward_ops.h>
#include <ATen/ops/tanh_ops.h>
#include <ATen/ops/threshold_backward_ops.h>

#include "activation.h"
#include "own_schemas.h"

namespace rusttorch {

namespace {

// Costs are nanoseconds per float32 element on one AVX2 core.

struct Relu : Activation<Relu, at::_ops::relu, at::_ops::threshold_backward> {
  static constexpr const char* kName = "Relu";
  static constexpr bool kFusible = true, kSavesResult = true, kInplaceSavesResult = true;
  static UnaryPlan plan() {
    return {.row = kernels().relu, .nanoseconds = 0.12, .integer_row = kernels().relu_integer};
  }
  static BackwardPlan backward_plan(const Scalar& threshold) {
    if (threshold.toDouble() != 0) return {};
    return {.row = kernels().relu_backward, .nanoseconds = 0.1, .saved_first = true};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& saved, bool) {
    return handle<Backward>().call(grad_output, saved, 0);
  }
};

struct LeakyRelu : Activation<LeakyRelu, at::_ops::leaky_relu, at::_ops::leaky_relu_backward> {
  static constexpr const char* kName = "LeakyRelu";
  static constexpr bool kFusible = true, kInplaceSavesResult = true;
  static UnaryPlan plan(const Scalar& negative_slope) {
    return {.row = kernels().leaky_relu, .parameters = {.a = negative_slope.toDouble()}, .nanoseconds = 0.12};
  }
  static BackwardPlan backward_plan(const Scalar& negative_slope, bool saved_is_result) {
    // From the result, the sign of the input is known for positive slopes only; ATen raises otherwise.
    if (saved_is_result && negative_slope.toDouble() < 0) return {};
    return {.row = kernels().leaky_relu_backward,
            .parameters = {.a = negative_slope.toDouble()},
            .nanoseconds = 0.1,
            .saved_first = true};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& saved, bool saved_is_result,
                         const Scalar& negative_slope) {
    return handle<Backward>().call(grad_output, saved, negative_slope, saved_is_result);
  }
};

struct Elu : Activation<Elu, at::_ops::elu, at::_ops::elu_backward> {
  static constexpr const char* kName = "Elu";
  static constexpr bool kInplaceSavesResult = true, kMetaBackwardDiffers = true;
  static UnaryPlan plan(const Scalar& alpha, const Scalar& scale, const Scalar& input_scale) {
    if (input_scale.toDouble() <= 0) return {};  // the kernel knows the exponential of negative numbers only
    return {.row = kernels().elu, .parameters = parameters(alpha, scale, input_scale, false), .nanoseconds = 0.5};
  }
  static BackwardPlan backward_plan(const Scalar& alpha, const Scalar& scale, const Scalar& input_scale,
                                    bool saved_is_result) {
    if (saved_is_result && alpha.toDouble() < 0) return {};  // ATen raises
    if (input_scale.toDouble() <= 0) return {};
    return {.row = kernels().elu_backward,
            .parameters = parameters(alpha, scale, input_scale, saved_is_result),
            .nanoseconds = 0.5};
  }
  static Tensor backward(const Tensor& grad_output, const Tensor& saved, bool saved_is_result, const Scalar& alpha,
                         const Scalar& scale, const Scalar& input_scale) {
    return handle<Backward>().call(grad_output, alpha, scale, input_scale, saved_is_result, saved);
  }

 private:
  static Parameters parameters(const Scalar& alpha, const Scalar& scale, const Scalar& input_scale, bool is_result) {
    return {.a = alpha.toDouble(), .b = scale.toDouble(), .c = input_scale.toDouble(), .integer = is_result};
  }
};

struct Selu : Activation<Selu, at::_ops::selu, at::_ops::elu_backward> {
  static constexpr const char* kName = "Selu";
  static constexpr bool kInplaceSavesResult = true;
  static UnaryPlan plan() { return Elu::plan(ops::kSeluAlpha, ops::kSeluScale, 1.0); }
  static Tensor backward(const Tensor& grad_output, const Tensor& saved, bool saved_is_result) {
    return Elu::backward(grad_output, saved, saved_is_result, ops::kSeluAlpha, ops::kSeluScale, 1.0);
  }
};

struct Gelu : Activation<Gelu, at::_ops::gelu, at::_ops::gelu_backward> {
  static constexpr const char* kName = "Gelu";
  static UnaryPlan plan(std::string_view approximate) {
    if (approximate == "none") return {.row = kernels().gelu_erf, .nanoseconds = 0.6};
    if (approximate == "tanh") return {.row = kernels().gelu_tanh, .nanoseconds = 0.6};
    return {};
  }
  static BackwardPlan backward_plan(std::string_view approximate) {
    if (approximate == "none") return {.row = kernels().gelu_erf_backward, .nanoseconds = 0.9};
    if (approximate == "tanh") return {.row = kernels().gelu_tanh_backward, .nanoseconds = 0.9};
    return {};
  }
};

struct Sigmoid : Activation<Sigmoid, at::_ops::sigmoid, at::_ops::sigmoid_backward> {
  static constexpr const char* kName = "Sigmoid";
  static constexpr bool kSavesResult = true, kInplaceSavesResult = true;
  static UnaryPlan plan() { return {.row = kernels().sigmoid, .nanoseconds = 0.4, .promotes_integers = true}; }
  static BackwardPlan backward_plan() { return {.row = kernels().sigmoid_backward, .nanoseconds = 0.1}; }
};

struct Tanh : Activation<Tanh, at::_ops::tanh, at::_ops::tanh_backward> {
  static constexpr const char* kName = "Tanh";
  static constexpr bool kSavesResult = true, kInplaceSavesResult = true;
  static UnaryPlan plan() { return {.row = kernels().tanh, .nanoseconds = 0.6, .promotes_integers = true}; }
  static BackwardPlan backward_plan() { return {.row = kernels().tanh_backward, .nanoseconds = 0.1}; }
};

struct Softplus : Activation<Softplus, at::_ops::softplus, at::_ops::softplus_backward> {
  static constexpr const char* kName = "Softplus";
  static constexpr bool kMetaBackwardDiffers = true;
  static UnaryPlan plan(const Scalar& beta, const Scalar& threshold) {
    return {
        .row = kernels().softplus, .parameters = {.a = beta.toDouble(), .b = threshold.toDouble()}, .nanoseconds = 0.7};
  }
  static BackwardPlan backward_plan(const Scalar& beta, const Scalar& threshold) {
    return {.row = kernels().softplus_backward,
            .parameters = {.a = beta.toDouble(), .b = threshold.toDouble()},
            .nanoseconds = 0.5};
  }
};

struct Softsign : Activation<Softsign, ops::softsign, ops::softsign_backward> {
  static constexpr const char* kName = "Softsign";
  static UnaryPlan plan() {  // torch's abs() refuses booleans
    return {.row = kernels().softsign, .nanoseconds = 0.2, .promotes_integers = true, .promotes_booleans = false};
  }
  static BackwardPlan backward_plan() { return {.row = kernels().softsign_backward, .nanoseconds = 0.2}; }
};

struct Silu : Activation<Silu, at::_ops::silu, ops::silu_backward> {
  static constexpr const char* kName = "Silu";
  static UnaryPlan plan() { return {.row = kernels().silu, .nanoseconds = 0.4}; }
  static BackwardPlan backward_plan() { return {.row = kernels().silu_backward, .nanoseconds = 0.5}; }
};

struct Mish : Activation<Mish, at::_ops::mish, ops::mish_backward> {
  static constexpr const char* kName = "Mish";
  static UnaryPlan plan() { return {.row = kernels().mish, .nanoseconds = 0.7}; }
  static BackwardPlan backward_plan() { return {.row = kernels().mish_backward, .nanoseconds = 0.9}; }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  register_activation<Relu, at::_ops::relu_, at::_ops::relu_out>(library);
  register_activation<LeakyRelu, at::_ops::leaky_relu_, at::_ops::leaky_relu_out>(library);
  register_activation<Elu, at::_ops::elu_, at::_ops::elu_out>(library);
  register_activation<Selu, ops::selu_>(library);
  register_activation<Gelu, at::_ops::gelu_, at::_ops::gelu_out>(library);
  register_activation<Sigmoid, at::_ops::sigmoid_, at::_ops::sigmoid_out>(library);
  register_activation<Tanh, at::_ops::tanh_, at::_ops::tanh_out>(library);
  register_activation<Softplus, at::_ops::softplus_out>(library);
  register_activation<Softsign>(library);
  register_activation<Silu, at::_ops::silu_, at::_ops::silu_out>(library);
  register_activation<Mish, at::_ops::mish_, at::_ops::mish_out>(library);
  // selu's backward is elu's.
  register_backward<Relu>(library);
  register_backward<LeakyRelu>(library);
  register_backward<Elu>(library);
  register_backward<Gelu>(library);
  register_backward<Sigmoid>(library);
  register_backward<Tanh>(library);
  register_backward<Softplus>(library);
  register_backward<Softsign>(library);
  register_backward<Silu>(library);
  register_backward<Mish>(library);
}

}  // namespace rusttorch
