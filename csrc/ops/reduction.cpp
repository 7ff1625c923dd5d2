#include "torch_headers.h"

#include "reduction.h"

#include <ATen/WrapDimUtils.h>

#include <algorithm>
#include <bitset>
#include <numeric>

namespace rusttorch {
namespace {

using Mask = std::bitset<kMostDims>;

// Which dims are reduced; nothing for those that torch refuses.
std::optional<Mask> reduced_dims(int64_t tensor_dims, const Reduction& reduction) {
  const int64_t dims = std::max<int64_t>(tensor_dims, 1);
  Mask mask;
  if (dims > kMostDims) return std::nullopt;
  for (const int64_t dim : reduction.dims) {
    if (dim < -dims || dim >= dims) return std::nullopt;
    const int64_t wrapped = dim < 0 ? dim + dims : dim;
    if (mask[wrapped]) return std::nullopt;
    mask.set(wrapped);
  }
  if (reduction.dims.empty()) {
    for (int64_t i = 0; i < dims; ++i) mask.set(i);
  }
  return mask;
}

// Fills in the steps for the dimensions in this order.
void split(ReductionShape& shape, const Tensor& self, const Mask& reduced, const c10::SmallVector<int64_t, 5>& order) {
  c10::SmallVector<int64_t, 8> runs(1, 1);  // extents, of kept and of reduced dimensions in turns
  for (const int64_t dim : order) {
    const int64_t extent = self.size(dim);
    if (extent == 1) continue;
    if (reduced[dim] != (runs.size() % 2 == 0)) runs.push_back(1);
    runs.back() *= extent;
  }
  if (runs.size() % 2 == 0) runs.push_back(1);
  shape.outer = runs[0];
  for (bool first = true; runs.size() > 1; first = false) {
    ReductionStep step;
    step.inner = runs.pop_back_val();
    step.size = runs.pop_back_val();
    for (const int64_t extent : runs) step.outer *= extent;
    runs.back() *= step.inner;
    if (first) static_cast<ReductionStep&>(shape) = step;
    else shape.later.push_back(step);
  }
}

}  // namespace

std::optional<ReductionShape> reduction_shape(const Tensor& self, const Reduction& reduction) {
  ReductionShape shape;
  if (reduction.dims.empty() && !reduction.keepdim && self.is_contiguous() && self.numel() > 0) {
    shape.input = self;
    shape.size = self.numel();
    return shape;
  }
  const auto reduced = reduced_dims(self.dim(), reduction);
  if (!reduced || self.numel() == 0) return std::nullopt;
  for (int64_t i = 0; i < self.dim(); ++i) {
    if (!(*reduced)[i]) shape.result_sizes.push_back(self.size(i));
    else if (reduction.keepdim) shape.result_sizes.push_back(1);
  }
  c10::SmallVector<int64_t, 5> order(self.dim());
  std::iota(order.begin(), order.end(), 0);
  shape.input = self;
  if (!self.is_contiguous()) {
    // A dense tensor is contiguous with its dimensions in another order. That does if the kept ones keep theirs.
    if (is_dense(self)) {
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return self.stride(a) > self.stride(b); });
      int64_t last_kept = -1;
      for (const int64_t dim : order) {
        if ((*reduced)[dim] || self.size(dim) == 1) continue;
        if (dim < last_kept) {
          std::iota(order.begin(), order.end(), 0);
          shape.input = self.contiguous();
          break;
        }
        last_kept = dim;
      }
    } else {
      shape.input = self.contiguous();
    }
  }
  split(shape, self, *reduced, order);
  return shape;
}

std::optional<ReductionShape> decide_reduction(DecisionPoint& point, const Tensor& self, const Reduction& reduction) {
  if (!is_floating_index(dtype_index(self.scalar_type()))) {
    point.count(Decision::dtype);
    return std::nullopt;
  }
  std::optional<ReductionShape> shape;
  if (reduction.is_ours) shape = reduction_shape(self, reduction);
  if (shape && shape->later.size() + 1 > reduction.most_steps) shape.reset();
  point.count(!reduction.is_ours ? Decision::arguments : shape ? Decision::taken : Decision::layout);
  return shape;
}

Tensor restore_dims(const Tensor& result, at::IntArrayRef sizes, const Reduction& reduction) {
  if (reduction.keepdim || sizes.empty()) return result;
  const Mask reduced = *reduced_dims(int64_t(sizes.size()), reduction);
  Tensor restored = result;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (reduced[i]) restored = restored.unsqueeze(int64_t(i));
  }
  return restored;
}

int64_t reduced_elements(at::IntArrayRef sizes, const Reduction& reduction) {
  const auto reduced = reduced_dims(int64_t(sizes.size()), reduction);
  if (!reduced) return 0;
  int64_t count = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if ((*reduced)[i]) count *= sizes[i];
  }
  return count;
}

}  // namespace rusttorch
