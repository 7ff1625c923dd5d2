// sum, mean, var and std: sums in double, in an order that depends on the sizes alone (kernels/summation.h), rounded once.
#include "torch_headers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/mean_ops.h>
#include <ATen/ops/mul_ops.h>
#include <ATen/ops/std_ops.h>
#include <ATen/ops/sub_ops.h>
#include <ATen/ops/sum_ops.h>
#include <ATen/ops/var_ops.h>

#include <c10/util/strides.h>

#include <algorithm>
#include <cmath>

#include "deviation_repair.h"
#include "pieces.h"

namespace rusttorch {
namespace {

// Nanoseconds per float32 element on one core, from the caches; down columns twice as much as along rows.
constexpr double kSumCost = 0.055, kDeviationCost = 0.08, kTinyCost = 0.3;
// Results that one call of a kernel gives at most: 4 KiB of doubles. Of columns, half as many where they are few.
constexpr int64_t kResults = 512;
// Pieces of a row that is worth it to be shared by threads, however many rows there are: 2 MiB.
constexpr int64_t kLongRow = 64;
// Rows of at most so many elements, or short columns of at most so many, go to the kernels of tiny matrices.
constexpr int64_t kTinyRow = 8, kTinyColumn = 32, kTinyInner = 8;

// A result is sqrt(sum / divisor), or without the root.
struct Finish {
  double divisor = 1;
  bool root = false;
};

// A float result is rounded from a product with 1 / divisor: a division takes longer than the sum of few elements.
template <class T>
void finish_as(void* out, const double* sums, int64_t n, Finish finish) {
  using Rounded = std::conditional_t<std::is_same_v<T, double>, double, float>;
  T* const to = static_cast<T*>(out);
  const double scale = 1 / finish.divisor;
  if (finish.divisor == 1 && !finish.root) {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(static_cast<Rounded>(sums[i]));
  } else if (!finish.root && !std::is_same_v<T, double>) {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(static_cast<Rounded>(sums[i] * scale));
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const double value = sums[i] / finish.divisor;
      to[i] = static_cast<T>(static_cast<Rounded>(finish.root ? std::sqrt(value) : value));
    }
  }
}

double squares_about(double mean, double squares, int64_t n, int dtype) {
  return dtype == kFloat64 ? squares : rusttorch::squares_about<float>(mean, squares, n);
}

// Elements that go into one result.
int64_t elements_of(const ReductionShape& shape) {
  int64_t count = shape.size;
  for (const ReductionStep& step : shape.later) count *= step.size;
  return count;
}

// One step of sums, or of squared deviations from the mean, over `in`.
struct SumRun {
  ReductionStep shape;
  const char* in;
  int dtype;
  int64_t bytes;  // of an element
  bool deviation;
  char* out;
  int out_dtype;
  Finish finish;

  const KernelTable& table = kernels();
  SumColumnsKernel column_kernel = (deviation ? table.deviation_columns : table.sum_columns)[dtype];
  SumTinyKernel tiny_kernel = (deviation ? table.deviation_tiny : table.sum_tiny)[dtype];
  double nanoseconds = deviation ? kDeviationCost : kSumCost;

  void write(int64_t at, const double* sums, int64_t n) const {
    switch (out_dtype) {
      case kFloat32: return finish_as<float>(out + at * 4, sums, n, finish);
      case kFloat64: return finish_as<double>(out + at * 8, sums, n, finish);
      case kBFloat16: return finish_as<c10::BFloat16>(out + at * 2, sums, n, finish);
      default: return finish_as<c10::Half>(out + at * 2, sums, n, finish);
    }
  }

  void run() const {
    if (shape.inner == 1 && has_long_rows()) {
      for (int64_t row = 0; row < shape.outer; ++row) shared_row(row);
    } else if (is_tiny()) {
      tiny();
    } else if (shape.inner == 1) {
      rows();
    } else if (is_tall()) {
      tall();
    } else {
      columns();
    }
  }

  bool from_memory() const { return is_from_memory(shape.outer * shape.size * bytes); }
  // Rows that are shared by threads: few of them, or each one worth it.
  bool has_long_rows() const {
    const int64_t piece = sum_piece(dtype);
    return shape.size > 4 * piece && (shape.size > kLongRow * piece || shape.outer < at::get_num_threads());
  }

  void rows() const {
    const bool is_far = from_memory();
    for_each_range(shape.outer, nanoseconds * static_cast<double>(shape.size), [&](int64_t begin, int64_t end) {
      double sums[kResults];
      for (int64_t row = begin; row < end; row += kResults) {
        const int64_t count = std::min(kResults, end - row);
        const char* const from = in + row * shape.size * bytes;
        if (deviation) table.deviation_rows[dtype](sums, from, count, shape.size);
        else table.sum_rows[dtype](sums, from, count, shape.size, is_far);
        write(row, sums, count);
      }
    });
  }

  void shared_row(int64_t row) const {
    const char* const from = in + row * shape.size * bytes;
    double sum = sum_of_elements(from, shape.size, dtype, bytes, kSumCost, from_memory());
    if (deviation) {
      const double mean = sum / static_cast<double>(shape.size);
      const double squares =
          sum_of_pieces(shape.size, dtype, kSumCost, 1, [&](double* piece, int64_t begin, int64_t count) {
            *piece = table.squares_row[dtype](from + begin * bytes, count, mean);
          });
      sum = squares_about(mean, squares, shape.size, dtype);
    }
    write(row, &sum, 1);
  }

  void columns() const {
    // One strip a thread where there are few: in strips of half the width (1024, 1024) took 115 us, so 107.
    const int64_t share = (shape.outer * shape.inner / at::get_num_threads() + 63) / 64 * 64;
    const int64_t width = std::clamp(share, kResults / 2, kResults);
    const int64_t blocks = (shape.inner + width - 1) / width;
    const double cost = 2 * nanoseconds * static_cast<double>(shape.size * std::min(width, shape.inner));
    for_each_range(shape.outer * blocks, cost, [&](int64_t begin, int64_t end) {
      double sums[kResults];
      for (int64_t k = begin; k < end; ++k) {
        const int64_t outer = k / blocks, first = k % blocks * width;
        const int64_t count = std::min(width, shape.inner - first);
        column_kernel(sums, in + (outer * shape.size * shape.inner + first) * bytes, shape.size, count, shape.inner);
        write(outer * shape.inner + first, sums, count);
      }
    });
  }

  bool is_tiny() const {
    if (shape.outer < 16) return false;
    return shape.inner == 1 ? shape.size <= kTinyRow : shape.inner <= kTinyInner && shape.size <= kTinyColumn;
  }
  void tiny() const {
    const int64_t size = shape.size * shape.inner, most = kResults / shape.inner;
    for_each_range(shape.outer, kTinyCost * static_cast<double>(size), [&](int64_t begin, int64_t end) {
      double sums[kResults];
      for (int64_t first = begin; first < end; first += most) {
        const int64_t count = std::min(most, end - first);
        tiny_kernel(sums, in + first * size * bytes, count, shape.size, shape.inner);
        write(first * shape.inner, sums, count * shape.inner);
      }
    });
  }

  // Few columns and many rows: the rows go to threads in blocks, whose sums are added as a kernel would.
  bool is_tall() const {
    return shape.outer == 1 && shape.inner <= kResults && shape.size >= 4 * sum_block(dtype) &&
           nanoseconds * static_cast<double>(shape.size * shape.inner) > 2 * kNanosecondsPerThread;
  }
  template <class Kernel>
  std::vector<double> sums_of_tall(const Kernel& kernel) const {
    const int64_t blocks_of_piece = sum_piece(dtype) / sum_block(dtype), width = shape.inner;
    const bool whole_pieces = shape.size > 16 * sum_piece(dtype);
    const int64_t unit = whole_pieces ? sum_piece(dtype) : sum_block(dtype);
    const int64_t count = (shape.size + unit - 1) / unit;
    std::vector<double> partial(count * width), piece(width), total(width);
    for_each_range(count, kSumCost * static_cast<double>(unit * width), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        kernel(partial.data() + k * width, in + k * unit * width * bytes, std::min(unit, shape.size - k * unit));
      }
    });
    const int64_t units_of_piece = whole_pieces ? 1 : blocks_of_piece;
    for (int64_t first = 0; first < count; first += units_of_piece) {
      std::fill(piece.begin(), piece.end(), 0);
      for (int64_t k = first; k < std::min(count, first + units_of_piece); ++k) {
        for (int64_t c = 0; c < width; ++c) piece[c] += partial[k * width + c];
      }
      for (int64_t c = 0; c < width; ++c) total[c] += piece[c];
    }
    return total;
  }
  void tall() const {
    const int64_t width = shape.inner;
    std::vector<double> sums = sums_of_tall(
        [&](double* to, const char* from, int64_t rows) { table.sum_columns[dtype](to, from, rows, width, width); });
    if (deviation) {
      std::vector<double> mean = std::move(sums);
      for (double& value : mean) value /= static_cast<double>(shape.size);
      sums = sums_of_tall([&](double* to, const char* from, int64_t rows) {
        table.squares_columns[dtype](to, from, rows, width, width, mean.data());
      });
      for (int64_t c = 0; c < width; ++c) sums[c] = squares_about(mean[c], sums[c], shape.size, dtype);
    }
    write(0, sums.data(), width);
  }
};

Tensor doubles(const ReductionStep& step) { return empty_result({step.outer * step.inner}, at::kDouble); }

// The later steps over `sums`, the last of them into `out`.
void finish_steps(Tensor sums, const ReductionShape& shape, char* out, int out_dtype, Finish finish) {
  for (size_t k = 0; k < shape.later.size(); ++k) {
    const bool last = k + 1 == shape.later.size();
    const Tensor from = sums;
    if (!last) sums = doubles(shape.later[k]);
    char* const to = last ? out : static_cast<char*>(sums.data_ptr());
    SumRun{shape.later[k],
           static_cast<const char*>(from.const_data_ptr()),
           kFloat64,
           8,
           false,
           to,
           last ? out_dtype : kFloat64,
           last ? finish : Finish{}}
        .run();
  }
}

// The sums in double of an input whose reduced dimensions need more than one step.
void sum_in_steps(const ReductionShape& shape, char* out, int out_dtype, Finish finish) {
  const int dtype = dtype_index(shape.input.scalar_type());
  const Tensor sums = doubles(shape);
  SumRun{shape,    static_cast<const char*>(shape.input.const_data_ptr()),
         dtype,    shape.input.element_size(),
         false,    static_cast<char*>(sums.data_ptr()),
         kFloat64, {}}
      .run();
  finish_steps(sums, shape, out, out_dtype, finish);
}

// Squared deviations, in two steps: those of the first one from the mean of the result that they go into.
void deviations_in_steps(const ReductionShape& shape, char* out, int out_dtype, Finish finish) {
  const ReductionStep& later = shape.later[0];
  const int dtype = dtype_index(shape.input.scalar_type());
  const int64_t bytes = shape.input.element_size(), results = later.outer * later.inner;
  const char* const in = static_cast<const char*>(shape.input.const_data_ptr());
  const int64_t elements = shape.size * later.size;
  const Tensor means = doubles(later), squares = doubles(shape), sums = doubles(later);
  double* const mean = means.data_ptr<double>();
  double* const square = squares.data_ptr<double>();
  double* const sum = sums.data_ptr<double>();
  sum_in_steps(shape, static_cast<char*>(means.data_ptr()), kFloat64, {.divisor = static_cast<double>(elements)});
  const KernelTable& table = kernels();
  const double cost = kSumCost * static_cast<double>(shape.size * shape.inner);
  for_each_range(shape.outer, cost, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const char* const from = in + k * shape.size * shape.inner * bytes;
      const int64_t at = k * shape.inner;
      const double* const centre = mean + at / (later.size * later.inner) * later.inner + at % later.inner;
      if (shape.inner == 1) square[k] = table.squares_row[dtype](from, shape.size, *centre);
      else table.squares_columns[dtype](square + at, from, shape.size, shape.inner, shape.inner, centre);
    }
  });
  finish_steps(squares, shape, static_cast<char*>(sums.data_ptr()), kFloat64, {});
  for (int64_t k = 0; k < results; ++k) sum[k] = squares_about(mean[k], sum[k], elements, dtype);
  SumRun{{results, 1, 1}, nullptr, dtype, bytes, false, out, out_dtype, finish}.write(0, sum, results);
}

Tensor reduce(const ReductionShape& shape, bool deviation, Finish finish) {
  Tensor result = empty_result(shape.result_sizes, shape.input.scalar_type());
  const int dtype = dtype_index(shape.input.scalar_type());
  char* const out = static_cast<char*>(result.data_ptr());
  if (shape.later.empty()) {
    SumRun{shape,     static_cast<const char*>(shape.input.const_data_ptr()),
           dtype,     shape.input.element_size(),
           deviation, out,
           dtype,     finish}
        .run();
  } else if (deviation) {
    deviations_in_steps(shape, out, dtype, finish);
  } else {
    sum_in_steps(shape, out, dtype, finish);
  }
  return result;
}

struct SumBase {
  static constexpr bool kSavesSelf = false, kSavesResult = false;
  static bool differentiable(const Tensor&) { return true; }
  static Tensor backward(const ReductionGradient& g) { return g.restored(g.grad).expand(g.sizes); }
  static Tensor forward(const ReductionShape& shape, const Reduction&) { return reduce(shape, false, {}); }
  static Reduction reduction_of(const Tensor& self, at::OptionalIntArrayRef dims, bool keepdim,
                                std::optional<at::ScalarType> dtype) {
    Reduction reduction{.keepdim = keepdim, .is_ours = !dtype || *dtype == self.scalar_type()};
    reduction.set_dims(dims);
    return reduction;
  }
};
struct Sum : SumBase {
  using Aten = at::_ops::sum;
  static constexpr const char *kName = "Sum", *kOperator = "sum";
  static Reduction reduction(const Tensor& self, std::optional<at::ScalarType> dtype) {
    return reduction_of(self, std::nullopt, false, dtype);
  }
};
struct SumDim : SumBase {
  using Aten = at::_ops::sum_dim_IntList;
  static constexpr const char *kName = "Sum", *kOperator = "sum";
  static Reduction reduction(const Tensor& self, at::OptionalIntArrayRef dims, bool keepdim,
                             std::optional<at::ScalarType> dtype) {
    return reduction_of(self, dims, keepdim, dtype);
  }
};

struct MeanBase : SumBase {
  static Tensor forward(const ReductionShape& shape, const Reduction&) {
    return reduce(shape, false, {.divisor = static_cast<double>(elements_of(shape))});
  }
  static Tensor backward(const ReductionGradient& g) {
    const Tensor grad = g.restored(g.grad);
    const int64_t count = reduced_elements(g.sizes, g.reduction);
    // is_contiguous() does not look at the strides of dimensions of 1, which have a say in those of torch's gradient.
    const bool is_default = grad.strides() == c10::contiguous_strides(grad.sizes());
    if (!is_plain_gradient(grad) || !is_default) return grad.expand(g.sizes) / count;
    return empty_result(g.sizes, grad.scalar_type()).copy_(grad / count);  // the same values, in memory from the pool
  }
};
struct Mean : MeanBase {
  using Aten = at::_ops::mean;
  static constexpr const char *kName = "Mean", *kOperator = "mean";
  static Reduction reduction(const Tensor& self, std::optional<at::ScalarType> dtype) {
    return reduction_of(self, std::nullopt, false, dtype);
  }
};
struct MeanDim : MeanBase {
  using Aten = at::_ops::mean_dim;
  static constexpr const char *kName = "Mean", *kOperator = "mean";
  static Reduction reduction(const Tensor& self, at::OptionalIntArrayRef dims, bool keepdim,
                             std::optional<at::ScalarType> dtype) {
    return reduction_of(self, dims, keepdim, dtype);
  }
};

template <class T>
bool repair_as(const ReductionShape& shape, const Tensor& result, Finish finish) {
  T* const out = result.mutable_data_ptr<T>();
  if (shape.later.empty()) {
    repair_deviations(shape, out, finish.root,
                      [&](int64_t index, double squares) { finish_as<T>(out + index, &squares, 1, finish); });
    return true;
  }
  return std::none_of(out, out + result.numel(),
                      [&](T value) { return needs_repair(static_cast<double>(value), finish.root); });
}
// Makes results right that are not, or returns false.
bool repair(const ReductionShape& shape, const Tensor& result, Finish finish) {
  switch (result.scalar_type()) {
    case at::kDouble: return true;
    case at::kBFloat16: return repair_as<c10::BFloat16>(shape, result, finish);
    case at::kHalf: return repair_as<c10::Half>(shape, result, finish);
    default: return repair_as<float>(shape, result, finish);
  }
}

// sum (x - mean)^2 / (n - correction). Where that divisor is not positive, torch warns: its business.
template <bool root>
struct Deviation {
  using Aten = std::conditional_t<root, at::_ops::std_correction, at::_ops::var_correction>;
  static constexpr const char *kName = root ? "Std" : "Var", *kOperator = root ? "std" : "var";
  static constexpr bool kSavesSelf = true, kSavesResult = root;
  static bool differentiable(const Tensor&) { return true; }
  static Reduction reduction(const Tensor& self, at::OptionalIntArrayRef dims, const std::optional<Scalar>& correction,
                             bool keepdim) {
    Reduction result{.keepdim = keepdim};
    result.set_dims(dims);
    if (correction && correction->isComplex()) result.is_ours = false;
    else result.correction = correction ? correction->toDouble() : 1;
    if (static_cast<double>(reduced_elements(self.sizes(), result)) <= result.correction) result.is_ours = false;
    result.most_steps = 2;
    return result;
  }
  static Tensor forward(const ReductionShape& shape, const Reduction& reduction) {
    const Finish finish{.divisor = static_cast<double>(elements_of(shape)) - reduction.correction, .root = root};
    const Tensor result = reduce(shape, true, finish);
    return repair(shape, result, finish) ? result : Tensor();
  }
  // d var = 2 (x - mean) / (n - correction); d std = d var / (2 std), nothing where std is 0.
  static Tensor backward(const ReductionGradient& g) {
    const double divisor = static_cast<double>(reduced_elements(g.sizes, g.reduction)) - g.reduction.correction;
    const Tensor mean = g.reduction.dims.empty()
                            ? handle<at::_ops::mean>().call(g.self, std::nullopt)
                            : handle<at::_ops::mean_dim>().call(g.self, g.reduction.dims, true, std::nullopt);
    const Tensor deviation = handle<at::_ops::sub_Tensor>().call(g.self, mean, 1);
    return handle<at::_ops::mul_Tensor>().call(g.restored(scale(g, 2 / divisor)), deviation);
  }
  static Tensor scale(const ReductionGradient& g, double factor) {
    if (!root) return g.grad * factor;
    if (g.grad.numel() > kResults || g.grad.scalar_type() != at::kFloat || !is_plain_gradient(g.grad) ||
        !g.grad.is_contiguous() || !g.result.is_contiguous()) {
      return (g.grad * factor / (g.result * 2)).masked_fill(g.result == 0, 0);
    }
    Tensor scale = empty_result(g.grad.sizes(), at::kFloat);  // the same, of few numbers, in one step instead of five
    const float *const grad = g.grad.const_data_ptr<float>(), *const result = g.result.const_data_ptr<float>();
    float* const to = scale.mutable_data_ptr<float>();
    for (int64_t i = 0; i < scale.numel(); ++i) {
      to[i] = result[i] == 0 ? 0 : grad[i] * static_cast<float>(factor) / (result[i] * 2);
    }
    return scale;
  }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  using namespace at::_ops;
  register_reduction<Sum, sum_out>(library);
  register_reduction<SumDim, sum_IntList_out>(library);
  register_reduction<Mean, mean_dtype_out>(library);
  register_reduction<MeanDim, mean_out>(library);
  register_reduction<Deviation<false>, var_correction_out>(library);
  register_reduction<Deviation<true>, std_correction_out>(library);
}

}  // namespace rusttorch
