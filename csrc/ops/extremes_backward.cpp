// The gradient of max, min, amax and amin: equal extremes share it.
#include "torch_headers.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "autograd.h"
#include "own_schemas.h"
#include "results.h"
#include "strips.h"

namespace rusttorch {
namespace {

using Aten = ops::_extremes_backward;

// Nanoseconds per float32 element on one core, for counting and for writing.
constexpr double kCost = 0.15;
// Elements that one call of a kernel counts or writes, of a long row; columns of a strip.
constexpr int64_t kPiece = 32768, kBlock = 512;

// What the counted elements and the others get.
template <class T>
struct Shares {
  std::vector<T> share, rest;
  explicit Shares(int64_t n) : share(n), rest(n) {}
  // As ATen: grad / count * mask for amax and amin, where a product with 0 need not be 0; grad / count or 0 for max and
  // min.
  void set(int64_t i, T grad, T count, bool whole) {
    share[i] = grad / count;
    rest[i] = whole ? T(0) : share[i] * T(0);
  }
};

template <class T>
struct Run {
  T* out;
  const T *in, *values, *grads;
  Shape shape;
  bool whole;
  int dtype = std::is_same_v<T, float> ? kFloat32 : kFloat64;
  const KernelTable& table = kernels();

  void rows(int64_t first, int64_t count) const {
    int64_t counts[kBlock];
    Shares<T> shares(std::min(kBlock, count));
    for (const int64_t end = first + count; first < end; first += kBlock) {
      const int64_t n = std::min(kBlock, end - first), offset = first * shape.size;
      // A few rows at a time, so that they are still in the cache when they are written.
      const int64_t step = std::max<int64_t>(1, kPiece / shape.size);
      for (int64_t row = 0; row < n; row += step) {
        const int64_t rows = std::min(step, n - row), at = offset + row * shape.size;
        table.count_equal[dtype](counts, in + at, values + first + row, rows, shape.size, whole);
        for (int64_t k = 0; k < rows; ++k) shares.set(k, grads[first + row + k], T(counts[k]), whole);
        table.share_equal[dtype](out + at, in + at, values + first + row, shares.share.data(), shares.rest.data(), rows,
                                 shape.size, whole);
      }
    }
  }
  // All threads on one row.
  void shared_row(int64_t row) const {
    const int64_t pieces = (shape.size + kPiece - 1) / kPiece, offset = row * shape.size;
    std::atomic<int64_t> total = 0;
    const auto for_each_piece = [&](const auto& body) {
      for_each_range(pieces, kCost / 2 * static_cast<double>(kPiece), [&](int64_t begin, int64_t end) {
        const int64_t first = begin * kPiece;
        body(offset + first, std::min(end * kPiece, shape.size) - first);
      });
    };
    for_each_piece([&](int64_t at, int64_t n) {
      int64_t count;
      table.count_equal[dtype](&count, in + at, values + row, 1, n, whole);
      total += count;
    });
    Shares<T> shares(1);
    shares.set(0, grads[row], T(total.load()), whole);
    for_each_piece([&](int64_t at, int64_t n) {
      table.share_equal[dtype](out + at, in + at, values + row, shares.share.data(), shares.rest.data(), 1, n, whole);
    });
  }
  void columns(int64_t offset, int64_t columns) const {
    const int64_t to = offset / (shape.size * shape.inner) * shape.inner + offset % shape.inner;
    std::vector<T> counts(columns);
    Shares<T> shares(columns);
    table.count_equal_columns[dtype](counts.data(), in + offset, values + to, shape.size, columns, shape.inner);
    for (int64_t k = 0; k < columns; ++k) shares.set(k, grads[to + k], counts[k], whole);
    table.share_equal_columns[dtype](out + offset, in + offset, values + to, shares.share.data(), shares.rest.data(),
                                     shape.size, columns, shape.inner);
  }
  void run() const {
    if (shape.inner == 1 && shape.size > 4 * kPiece && shape.outer < at::get_num_threads()) {
      for (int64_t row = 0; row < shape.outer; ++row) shared_row(row);
      return;
    }
    for_each_strip(
        shape, kCost, kBlock, [&](int64_t first, int64_t count) { rows(first, count); },
        [&](int64_t offset, int64_t count) { columns(offset, count); });
  }
};

template <class T>
void run_as(const Tensor& grad_input, const Tensor& grad_output, const Tensor& self, const Tensor& result,
            const Shape& shape, bool whole) {
  Run<T>{grad_input.mutable_data_ptr<T>(),
         self.const_data_ptr<T>(),
         result.const_data_ptr<T>(),
         grad_output.const_data_ptr<T>(),
         shape,
         whole}
      .run();
}

Tensor cpu(const Tensor& grad_output, const Tensor& self, const Tensor& result, bool whole) {
  static DecisionPoint& point = *new DecisionPoint("_extremes_backward");
  const at::ScalarType type = self.scalar_type();
  Decision decision = Decision::taken;
  Shape shape;
  if ((type != at::kFloat && type != at::kDouble) || grad_output.scalar_type() != type ||
      result.scalar_type() != type) {
    decision = Decision::dtype;
  } else if (!self.is_contiguous()) {
    decision = Decision::layout;  // the gradient of amax and amin has the strides of self
  } else if (result.dim() != self.dim() || grad_output.sizes() != result.sizes() || self.numel() == 0) {
    decision = Decision::arguments;
  } else {
    shape = split_at_result(self, result);
    // Columns are counted in their own dtype, float up to 2^24.
    if (shape.size == 0 || (shape.inner > 1 && shape.size > 1 << 24)) decision = Decision::arguments;
  }
  if (!point.count(decision)) return Aten::call(grad_output, self, result, whole);
  const Tensor grad_input = empty_result(self.sizes(), type);
  (type == at::kFloat ? run_as<float> : run_as<double>)(grad_input, grad_output.contiguous(), self, result.contiguous(),
                                                        shape, whole);
  return grad_input;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &cpu);
  implement_pass_through<Aten, true>(library);
}

}  // namespace rusttorch
