#include "torch_headers.h"

#include "strips.h"

#include <ATen/WrapDimUtils.h>
#include <c10/util/SmallVector.h>

namespace rusttorch {

Shape split_at_dims(const Tensor& self, at::IntArrayRef dims) {
  const Shape none{.size = 0};
  const int64_t most = std::max<int64_t>(self.dim(), 1);
  if (dims.empty() || self.dim() > kMostDims) return none;
  uint64_t reduced = 0;
  for (const int64_t dim : dims) {
    if (dim < -most || dim >= most) return none;
    const uint64_t bit = uint64_t(1) << at::maybe_wrap_dim(dim, self.dim());
    if (reduced & bit) return none;
    reduced |= bit;
  }
  Shape shape;
  bool ended = false;
  for (int64_t i = 0; i < self.dim(); ++i) {
    const int64_t size = self.size(i);
    if (reduced >> i & 1) {
      if (ended) return none;
      shape.size *= size;
    } else if (reduced & ((uint64_t(1) << i) - 1)) {
      ended = true;
      shape.inner *= size;
    } else {
      shape.outer *= size;
    }
  }
  return shape;
}

Shape split_at_result(const Tensor& self, const Tensor& result) {
  c10::SmallVector<int64_t, 8> dims;
  for (int64_t i = 0; i < self.dim(); ++i) {
    if (result.size(i) == self.size(i)) continue;
    if (result.size(i) != 1) return {.size = 0};
    dims.push_back(i);
  }
  return split_at_dims(self, dims);
}

}  // namespace rusttorch
