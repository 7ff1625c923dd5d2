// softmax and log_softmax along any dimension, and their backward.
#include "torch_headers.h"

#include <ATen/WrapDimUtils.h>
#include <ATen/ops/_softmax_backward_data_ops.h>
#include <ATen/ops/log_softmax_ops.h>
#include <ATen/ops/softmax_ops.h>

#include "autograd.h"
#include "own_schemas.h"
#include "results.h"
#include "strips.h"

namespace rusttorch {
namespace {

// The kernels of one operator for one dtype.
struct SoftmaxKernels {
  SoftmaxKernel rows;
  SoftmaxColumnsKernel columns;
};
struct SoftmaxBackwardKernels {
  SoftmaxBackwardKernel rows;
  SoftmaxColumnsBackwardKernel columns;
};

// Nanoseconds per element on one AVX2 core; a row or a column strip is never split.
constexpr double kForwardCost = 0.6, kBackwardCost = 0.4;
// Columns go to threads in blocks of this many. Threads that write neighbouring pieces of every row take each other's cache
// lines away, prefetchers more of them, and forward visits the result twice. Two Zen 4 cores, float32 dim 0, us on one
// thread, on two with blocks of 512, 256, 128: forward (512, 512) 70, 70, 107, 107; backward 70, 70, 50, 50; backward
// (256, 256) 18, 18, 18, 12.5.
constexpr int64_t kForwardBlock = 512, kBackwardBlock = 128;

// True when our kernels serve this call. An invalid dim is ATen's to refuse, in its words.
bool is_ours(DecisionPoint& point, const Tensor& self, int64_t dim) {
  if (!is_floating_index(dtype_index(self.scalar_type()))) return point.count(Decision::dtype);
  const int64_t dims = std::max<int64_t>(self.dim(), 1);
  if (dim < -dims || dim >= dims) return point.count(Decision::arguments);
  return point.count(Decision::taken);
}

// ATen returns a contiguous result whatever the layout of `self`.
Tensor forward(const SoftmaxKernels& kernel, const Tensor& self, int64_t dim) {
  const Tensor input = self.contiguous();
  Tensor result = empty_result(self.sizes(), self.scalar_type());
  if (result.numel() == 0) return result;
  const Shape shape = split_at(input, at::maybe_wrap_dim(dim, self.dim()));
  const int64_t bytes = input.element_size();
  char* out = static_cast<char*>(result.data_ptr());
  const char* in = static_cast<const char*>(input.const_data_ptr());
  for_each_strip(
      shape, kForwardCost, kForwardBlock,
      [&](int64_t row, int64_t rows) {
        const int64_t offset = row * shape.size * bytes;
        kernel.rows(out + offset, in + offset, rows, shape.size);
      },
      [&](int64_t offset, int64_t columns) {
        kernel.columns(out + offset * bytes, in + offset * bytes, shape.size, columns, shape.inner);
      });
  return result;
}

Tensor backward(const SoftmaxBackwardKernels& kernel, const Tensor& grad_output, const Tensor& output, int64_t dim) {
  const Tensor grad = grad_output.contiguous(), saved = output.contiguous();
  Tensor result = empty_result(grad.sizes(), grad.scalar_type());
  if (result.numel() == 0) return result;
  const Shape shape = split_at(grad, at::maybe_wrap_dim(dim, grad.dim()));
  const int64_t bytes = grad.element_size();
  char* out = static_cast<char*>(result.data_ptr());
  const char* first = static_cast<const char*>(grad.const_data_ptr());
  const char* second = static_cast<const char*>(saved.const_data_ptr());
  for_each_strip(
      shape, kBackwardCost, kBackwardBlock,
      [&](int64_t row, int64_t rows) {
        const int64_t offset = row * shape.size * bytes;
        kernel.rows(out + offset, first + offset, second + offset, rows, shape.size);
      },
      [&](int64_t offset, int64_t columns) {
        offset *= bytes;
        kernel.columns(out + offset, first + offset, second + offset, shape.size, columns, shape.inner);
      });
  return result;
}

// What softmax and log_softmax share. `Self` names the kernels and the operators.
template <class Self>
struct SoftmaxOperator {
  static constexpr bool kFusible = false, kSavesResult = true;

  static bool differentiable(const Tensor& self) { return is_floating_index(dtype_index(self.scalar_type())); }

  static Tensor cpu(const Tensor& self, int64_t dim, std::optional<at::ScalarType> dtype) {
    if (dtype && *dtype != self.scalar_type()) return cpu(self.to(*dtype), dim, std::nullopt);
    static DecisionPoint& point = *new DecisionPoint(Self::kOperator);
    if (!is_ours(point, self, dim)) return Self::Aten::call(self, dim, dtype);
    return forward(Self::forward_kernels(dtype_index(self.scalar_type())), self, dim);
  }

  static Tensor& out_cpu(const Tensor& self, int64_t dim, std::optional<at::ScalarType> dtype, Tensor& out) {
    return Self::AtenOut::call(self, dim, dtype, out);
  }

  static Tensor backward_cpu(const Tensor& grad_output, const Tensor& output, int64_t dim, at::ScalarType input_dtype) {
    static DecisionPoint& point = *new DecisionPoint(Self::kBackwardOperator);
    if (grad_output.scalar_type() != output.scalar_type() || grad_output.scalar_type() != input_dtype ||
        grad_output.sizes() != output.sizes()) {
      point.count(Decision::arguments);
      return Self::AtenBackward::call(grad_output, output, dim, input_dtype);
    }
    if (!is_ours(point, grad_output, dim)) return Self::AtenBackward::call(grad_output, output, dim, input_dtype);
    return rusttorch::backward(Self::backward_kernels(dtype_index(output.scalar_type())), grad_output, output, dim);
  }

  // With `dtype` the gradient arrives in it; the engine casts what we return to the input's.
  static Tensor backward(const Tensor& grad_output, const Tensor& saved, bool /*saved_is_result*/, int64_t dim,
                         std::optional<at::ScalarType> /*dtype*/) {
    return handle<typename Self::AtenBackward>().call(grad_output, saved, dim, saved.scalar_type());
  }

  static void register_all(torch::Library& library) {
    using Aten = typename Self::Aten;
    define<Aten>(library);
    implement<Aten>(library, c10::DispatchKey::CPU, &Self::cpu);
    implement<Aten>(library, c10::DispatchKey::AutogradCPU, &UnaryAutograd<Self>::functional);
    define<typename Self::AtenOut>(library);
    implement<typename Self::AtenOut>(library, c10::DispatchKey::CPU, &Self::out_cpu);
    implement_pass_through<typename Self::AtenOut, kFusible>(library);
    implement_version_bump<typename Self::AtenOut>(library);
    define<typename Self::AtenBackward>(library);
    implement<typename Self::AtenBackward>(library, c10::DispatchKey::CPU, &Self::backward_cpu);
    implement_pass_through<typename Self::AtenBackward, kFusible>(library);
  }
};

struct Softmax : SoftmaxOperator<Softmax> {
  using Aten = at::_ops::softmax_int;
  using AtenOut = at::_ops::softmax_int_out;
  using AtenBackward = at::_ops::_softmax_backward_data;
  static constexpr const char *kName = "Softmax", *kOperator = "softmax", *kBackwardOperator = "_softmax_backward_data";
  static SoftmaxKernels forward_kernels(int dtype) {
    return {kernels().softmax[dtype], kernels().softmax_columns[dtype]};
  }
  static SoftmaxBackwardKernels backward_kernels(int dtype) {
    return {kernels().softmax_backward[dtype], kernels().softmax_columns_backward[dtype]};
  }
};

struct LogSoftmax : SoftmaxOperator<LogSoftmax> {
  using Aten = at::_ops::log_softmax_int;
  using AtenOut = at::_ops::log_softmax_int_out;
  using AtenBackward = ops::_log_softmax_backward_data;
  static constexpr const char *kName = "LogSoftmax", *kOperator = "log_softmax",
                              *kBackwardOperator = "_log_softmax_backward_data";
  static SoftmaxKernels forward_kernels(int dtype) {
    return {kernels().log_softmax[dtype], kernels().log_softmax_columns[dtype]};
  }
  static SoftmaxBackwardKernels backward_kernels(int dtype) {
    return {kernels().log_softmax_backward[dtype], kernels().log_softmax_columns_backward[dtype]};
  }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  Softmax::register_all(library);
  LogSoftmax::register_all(library);
}

}  // namespace rusttorch
