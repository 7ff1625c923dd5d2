// Operators along one dimension: the tensor as rows or columns, and how they go to threads.
#pragma once
#include "common.h"

namespace rusttorch {

// A contiguous tensor seen as [outer][size][inner], `size` being the dimension that is normalised.
struct Shape {
  int64_t outer = 1, size = 1, inner = 1;
};
inline Shape split_at(const Tensor& self, int64_t dim) {
  Shape shape;
  for (int64_t i = 0; i < self.dim(); ++i) {
    (i < dim ? shape.outer : i == dim ? shape.size : shape.inner) *= self.size(i);
  }
  return shape;
}

// The same with the neighbouring dimensions `dims`; size = 0 where they are no neighbours, or ATen has to refuse the call.
Shape split_at_dims(const Tensor& self, at::IntArrayRef dims);
// The same from the shape of the result: the dimensions where it has size 1 were reduced.
Shape split_at_result(const Tensor& self, const Tensor& result);

// Calls rows(first_row, rows) when the dimension is innermost, else columns(offset, columns) for strips of columns.
// `offset` counts elements from the start of the tensor.
template <class Rows, class Columns>
void for_each_strip(const Shape& shape, double nanoseconds, int64_t block, const Rows& rows, const Columns& columns) {
  const double strip_cost = nanoseconds * static_cast<double>(shape.size);
  if (shape.inner == 1) {
    for_each_range(shape.outer, strip_cost, [&](int64_t begin, int64_t end) { rows(begin, end - begin); });
    return;
  }
  const int64_t blocks = (shape.inner + block - 1) / block;
  for_each_range(shape.outer * blocks, strip_cost * std::min(block, shape.inner), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t outer = begin / blocks;
      const int64_t last = std::min(end, (outer + 1) * blocks);
      const int64_t first_column = (begin - outer * blocks) * block;
      const int64_t last_column = std::min(shape.inner, (last - outer * blocks) * block);
      columns(outer * shape.size * shape.inner + first_column, last_column - first_column);
      begin = last;
    }
  });
}

}  // namespace rusttorch
