// logsumexp along one dimension or neighbouring ones, and its gradient.
#include "torch_headers.h"

#include <ATen/MemoryOverlap.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/logsumexp_ops.h>

#include <algorithm>
#include <vector>

#include "autograd.h"
#include "own_schemas.h"
#include "results.h"
#include "strips.h"

namespace rusttorch {
namespace {

using Aten = at::_ops::logsumexp;
using AtenOut = at::_ops::logsumexp_out;
using Backward = ops::_logsumexp_backward;

// Nanoseconds per element on one AVX2 core.
constexpr double kForwardCost = 0.4, kBackwardCost = 0.35;
// Columns of one thread's block, at least a strip of the kernels.
constexpr int64_t kBlock = 512;
// Results that are made at a time from maxima and logarithms on the stack.
constexpr int64_t kResults = 512;

c10::SmallVector<int64_t, 8> reduced_sizes(const Tensor& self, at::IntArrayRef dims, bool keepdim) {
  std::vector<bool> reduced(std::max<int64_t>(self.dim(), 1));
  for (const int64_t dim : dims) reduced[at::maybe_wrap_dim(dim, self.dim())] = true;
  c10::SmallVector<int64_t, 8> sizes;
  for (int64_t i = 0; i < self.dim(); ++i) {
    if (!reduced[i]) sizes.push_back(self.size(i));
    else if (keepdim) sizes.push_back(1);
  }
  return sizes;
}

template <class T>
void run(T* out, const Tensor& input, const Shape& shape) {
  using C = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const int index = dtype_index(input.scalar_type());
  const T* const in = static_cast<const T*>(input.const_data_ptr());
  for_each_strip(
      shape, kForwardCost, kBlock,
      [&](int64_t first, int64_t rows) {
        C max[kResults], log_sum[kResults];
        for (const int64_t end = first + rows; first < end; first += kResults) {
          const int64_t count = std::min(kResults, end - first);
          kernels().logsumexp[index](max, log_sum, in + first * shape.size, count, shape.size);
          for (int64_t k = 0; k < count; ++k) out[first + k] = static_cast<T>(max[k] + log_sum[k]);
        }
      },
      [&](int64_t offset, int64_t columns) {
        C max[kResults], log_sum[kResults];
        const int64_t to = offset / (shape.size * shape.inner) * shape.inner + offset % shape.inner;
        for (int64_t first = 0; first < columns; first += kResults) {
          const int64_t count = std::min(kResults, columns - first);
          kernels().logsumexp_columns[index](max, log_sum, in + offset + first, shape.size, count, shape.inner);
          for (int64_t k = 0; k < count; ++k) out[to + first + k] = static_cast<T>(max[k] + log_sum[k]);
        }
      });
}

// Undefined where ATen has to run.
Tensor forward(const Tensor& self, at::IntArrayRef dims, bool keepdim) {
  if (at::isIntegralType(self.scalar_type(), true)) {
    return forward(self.to(at::typeMetaToScalarType(at::get_default_dtype())), dims, keepdim);
  }
  static DecisionPoint& point = *new DecisionPoint("logsumexp");
  if (!is_floating_index(dtype_index(self.scalar_type()))) {
    point.count(Decision::dtype);
    return Tensor();
  }
  const Shape shape = split_at_dims(self, dims);
  if (!point.count(shape.size == 0 || self.numel() == 0 ? Decision::arguments : Decision::taken)) return Tensor();
  const Tensor input = self.contiguous();
  Tensor result = empty_result(reduced_sizes(self, dims, keepdim), self.scalar_type());
  switch (self.scalar_type()) {
    case at::kFloat: run(static_cast<float*>(result.data_ptr()), input, shape); break;
    case at::kDouble: run(static_cast<double*>(result.data_ptr()), input, shape); break;
    case at::kBFloat16: run(static_cast<c10::BFloat16*>(result.data_ptr()), input, shape); break;
    default: run(static_cast<c10::Half*>(result.data_ptr()), input, shape); break;
  }
  return result;
}

Tensor cpu(const Tensor& self, at::IntArrayRef dims, bool keepdim) {
  const Tensor result = forward(self, dims, keepdim);
  return result.defined() ? result : Aten::call(self, dims, keepdim);
}

Tensor& out_cpu(const Tensor& self, at::IntArrayRef dims, bool keepdim, Tensor& out) {
  const bool plain = out.scalar_type() == self.scalar_type() && at::isFloatingType(out.scalar_type()) &&
                     at::get_overlap_status(out, self) != at::MemOverlapStatus::Partial &&
                     at::has_internal_overlap(out) != at::MemOverlap::Yes;
  const Tensor result = plain ? forward(self, dims, keepdim) : Tensor();
  if (!result.defined()) return AtenOut::call(self, dims, keepdim, out);
  at::native::resize_output(out, result.sizes());
  return out.copy_(result);
}

Tensor backward_cpu(const Tensor& grad_output, const Tensor& self, const Tensor& result) {
  static DecisionPoint& point = *new DecisionPoint("_logsumexp_backward");
  const int index = dtype_index(self.scalar_type());
  Decision decision = is_floating_index(index) ? Decision::taken : Decision::dtype;
  Shape shape;
  if (grad_output.scalar_type() != self.scalar_type() || result.scalar_type() != self.scalar_type()) {
    decision = Decision::dtype;
  } else if (!self.is_contiguous()) {
    decision = Decision::layout;  // the result takes the strides that TensorIterator chooses
  } else if (result.dim() != self.dim() || grad_output.sizes() != result.sizes() || self.numel() == 0) {
    decision = Decision::arguments;
  } else {
    shape = split_at_result(self, result);
    if (shape.size == 0) decision = Decision::arguments;
  }
  if (!point.count(decision)) return Backward::call(grad_output, self, result);

  const at::ScalarType compute = self.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Tensor scale = grad_output.to(compute).contiguous(), max = result.to(compute).contiguous();
  Tensor grad_input = empty_result(self.sizes(), self.scalar_type());
  const int64_t bytes = self.element_size(), wide = scale.element_size();
  const char* const in = static_cast<const char*>(self.const_data_ptr());
  char* const out = static_cast<char*>(grad_input.data_ptr());
  const auto terms_from = [&](int64_t first) {
    GradientTerms terms{};
    terms.max = static_cast<const char*>(max.const_data_ptr()) + first * wide;
    terms.scale = static_cast<const char*>(scale.const_data_ptr()) + first * wide;
    return terms;
  };
  for_each_strip(
      shape, kBackwardCost, kBlock,
      [&](int64_t row, int64_t rows) {
        const int64_t offset = row * shape.size * bytes;
        kernels().logsumexp_backward[index](out + offset, in + offset, rows, shape.size, terms_from(row));
      },
      [&](int64_t offset, int64_t columns) {
        const int64_t first = offset / (shape.size * shape.inner) * shape.inner + offset % shape.inner;
        kernels().logsumexp_columns_backward[index](out + offset * bytes, in + offset * bytes, shape.size, columns,
                                                    shape.inner, terms_from(first));
      });
  return grad_input;
}

struct Node : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    const Tensor input = self.unpack();
    Tensor grad = grads[0], sums = result.unpack(getptr());
    if (!keepdim && input.dim() > 0) {
      std::vector<int64_t> positions(dims);
      for (int64_t& dim : positions) dim = at::maybe_wrap_dim(dim, input.dim());
      std::sort(positions.begin(), positions.end());
      for (const int64_t dim : positions) {
        grad = grad.unsqueeze(dim);
        sums = sums.unsqueeze(dim);
      }
    }
    return {handle<Backward>().call(grad, input, sums)};
  }
  void release() override {
    self.reset_data();
    result.reset_data();
  }
  std::string name() const override { return "TorchextLogsumexpBackward"; }

  torch::autograd::SavedVariable self, result;
  std::vector<int64_t> dims;
  bool keepdim = false;
};

Tensor autograd(c10::DispatchKeySet keys, const Tensor& self, at::IntArrayRef dims, bool keepdim) {
  const bool graph = needs_graph(self);
  if (belongs_to_aten<false>(self) ||
      (graph && (dims.empty() || !is_floating_index(dtype_index(self.scalar_type()))))) {
    return Aten::call(self, dims, keepdim);
  }
  NodePointer<Node> node;
  if (graph) {
    node = new_node<Node>();
    node->set_next_edges(torch::autograd::collect_next_edges(self));
    node->self = torch::autograd::SavedVariable(self, false);
    node->dims = dims.vec();
    node->keepdim = keepdim;
  }
  Tensor result = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, dims, keepdim);
  }();
  if (node) {
    torch::autograd::set_history(result, node);
    node->result = torch::autograd::SavedVariable(result, true);
  }
  return result;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &cpu);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &autograd);
  define<AtenOut>(library);
  implement<AtenOut>(library, c10::DispatchKey::CPU, &out_cpu);
  implement_pass_through<AtenOut, false>(library);
  implement_version_bump<AtenOut>(library);
  define<Backward>(library);
  implement<Backward>(library, c10::DispatchKey::CPU, &backward_cpu);
  implement_pass_through<Backward, false>(library);
}

}  // namespace rusttorch
