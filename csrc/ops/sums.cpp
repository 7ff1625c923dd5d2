// sum, mean, var and std: sums in double, in an order that depends on the sizes alone (kernels/summation.h), rounded once.
#include <ATen/TensorOperators.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mean_ops.h>
#include <ATen/ops/std_ops.h>
#include <ATen/ops/sum_ops.h>
#include <ATen/ops/var_ops.h>

#include <cmath>

#include "pieces.h"
#include "reduction.h"

namespace rusttorch {
namespace {

// Nanoseconds per float32 element on one core, from the caches.
constexpr double kSumCost = 0.04, kDeviationCost = 0.08;
// Results that one call of a kernel gives: the width of its strips, and 2 KiB of doubles.
constexpr int64_t kResults = 256;

// The kernels of one operator for one dtype.
struct SumKernels {
  SumRowsKernel rows;
  SumColumnsKernel columns;
  double nanoseconds;
};
// A result is sqrt(sum / divisor), or without the root.
struct Finish {
  double divisor = 1;
  bool root = false;
};

template <class T>
void finish_as(void* out, const double* sums, int64_t n, Finish finish) {
  T* const to = static_cast<T*>(out);
  for (int64_t i = 0; i < n; ++i) {
    const double value = sums[i] / finish.divisor;
    to[i] = static_cast<T>(static_cast<std::conditional_t<std::is_same_v<T, double>, double, float>>(
        finish.root ? std::sqrt(value) : value));
  }
}
void finish_results(char* out, int64_t at, const double* sums, int64_t n, int dtype, Finish finish) {
  switch (dtype) {
    case kFloat32: return finish_as<float>(out + at * 4, sums, n, finish);
    case kFloat64: return finish_as<double>(out + at * 8, sums, n, finish);
    case kBFloat16: return finish_as<c10::BFloat16>(out + at * 2, sums, n, finish);
    default: return finish_as<c10::Half>(out + at * 2, sums, n, finish);
  }
}

// Few columns and many rows: the rows go to threads in pieces, whose sums are added in their order.
void sum_tall(char* out, const char* in, const ReductionShape& shape, const SumKernels& kernel, int dtype,
              Finish finish) {
  const int64_t bytes = shape.input.element_size(), piece = sum_piece(dtype), columns = shape.inner;
  const int64_t count = (shape.size + piece - 1) / piece;
  std::vector<double> partial(count * columns);
  for_each_range(count, kernel.nanoseconds * static_cast<double>(piece * columns), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      kernel.columns(partial.data() + k * columns, in + k * piece * columns * bytes,
                     std::min(piece, shape.size - k * piece), columns, columns);
    }
  });
  for (int64_t k = 1; k < count; ++k) {
    for (int64_t c = 0; c < columns; ++c) partial[c] += partial[k * columns + c];
  }
  finish_results(out, 0, partial.data(), columns, dtype, finish);
}

void sum_columns(char* out, const char* in, const ReductionShape& shape, const SumKernels& kernel, int dtype,
                 Finish finish) {
  const int64_t bytes = shape.input.element_size(), blocks = (shape.inner + kResults - 1) / kResults;
  const double cost = kernel.nanoseconds * static_cast<double>(shape.size * std::min(kResults, shape.inner));
  for_each_range(shape.outer * blocks, cost, [&](int64_t begin, int64_t end) {
    double sums[kResults];
    for (int64_t k = begin; k < end; ++k) {
      const int64_t outer = k / blocks, first = k % blocks * kResults;
      const int64_t columns = std::min(kResults, shape.inner - first);
      kernel.columns(sums, in + (outer * shape.size * shape.inner + first) * bytes, shape.size, columns, shape.inner);
      finish_results(out, outer * shape.inner + first, sums, columns, dtype, finish);
    }
  });
}

void sum_rows(char* out, const char* in, const ReductionShape& shape, const SumKernels& kernel, int dtype,
              Finish finish) {
  const int64_t row_bytes = shape.size * shape.input.element_size();
  for_each_range(shape.outer, kernel.nanoseconds * static_cast<double>(shape.size), [&](int64_t begin, int64_t end) {
    double sums[kResults];
    for (int64_t row = begin; row < end; row += kResults) {
      const int64_t rows = std::min(kResults, end - row);
      kernel.rows(sums, in + row * row_bytes, rows, shape.size);
      finish_results(out, row, sums, rows, dtype, finish);
    }
  });
}

// True for few long rows: then a row is shared by threads.
bool shares_rows(const ReductionShape& shape, int dtype) {
  return shape.inner == 1 && shape.size > 4 * sum_piece(dtype) && shape.outer < at::get_num_threads();
}

double sum_of_row(const char* row, int64_t size, int dtype, int64_t bytes) {
  return sum_of_pieces(size, dtype, kSumCost, [&](int64_t begin, int64_t count) {
    double sum;
    kernels().sum_rows[dtype](&sum, row + begin * bytes, 1, count);
    return sum;
  });
}
double deviation_of_row(const char* row, int64_t size, int dtype, int64_t bytes) {
  const double mean = sum_of_row(row, size, dtype, bytes) / static_cast<double>(size);
  return sum_of_pieces(size, dtype, kSumCost, [&](int64_t begin, int64_t count) {
    return kernels().sum_of_squares[dtype](row + begin * bytes, count, mean);
  });
}

Tensor reduce(const ReductionShape& shape, bool deviation, Finish finish) {
  Tensor result = empty_result(shape.result_sizes, shape.input.scalar_type());
  const int dtype = dtype_index(shape.input.scalar_type());
  const int64_t bytes = shape.input.element_size();
  char* const out = static_cast<char*>(result.data_ptr());
  const char* const in = static_cast<const char*>(shape.input.const_data_ptr());
  const KernelTable& table = kernels();
  const SumKernels kernel =
      deviation ? SumKernels{table.deviation_rows[dtype], table.deviation_columns[dtype], kDeviationCost}
                : SumKernels{table.sum_rows[dtype], table.sum_columns[dtype], kSumCost};
  if (shares_rows(shape, dtype)) {
    for (int64_t row = 0; row < shape.outer; ++row) {
      const char* const from = in + row * shape.size * bytes;
      const double sum = (deviation ? deviation_of_row : sum_of_row)(from, shape.size, dtype, bytes);
      finish_results(out, row, &sum, 1, dtype, finish);
    }
  } else if (shape.inner == 1) {
    sum_rows(out, in, shape, kernel, dtype, finish);
  } else if (!deviation && shape.outer == 1 && shape.inner <= kResults && shape.size > sum_piece(dtype)) {
    sum_tall(out, in, shape, kernel, dtype, finish);
  } else {
    sum_columns(out, in, shape, kernel, dtype, finish);
  }
  return result;
}

struct SumBase {
  static constexpr bool kSavesSelf = false, kSavesResult = false, kAtenHasGradient = false;
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
    return reduce(shape, false, {.divisor = static_cast<double>(shape.size)});
  }
  static Tensor backward(const ReductionGradient& g) {
    return g.restored(g.grad).expand(g.sizes) / reduced_elements(g.sizes, g.reduction);
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

// sum (x - mean)^2 / (n - correction). Where that divisor is not positive, torch warns: its business.
template <bool root>
struct Deviation {
  using Aten = std::conditional_t<root, at::_ops::std_correction, at::_ops::var_correction>;
  static constexpr const char *kName = root ? "Std" : "Var", *kOperator = root ? "std" : "var";
  static constexpr bool kSavesSelf = true, kSavesResult = root, kAtenHasGradient = false;
  static Reduction reduction(const Tensor& self, at::OptionalIntArrayRef dims, const std::optional<Scalar>& correction,
                             bool keepdim) {
    Reduction result{.keepdim = keepdim};
    result.set_dims(dims);
    if (correction && correction->isComplex()) result.is_ours = false;
    else result.correction = correction ? correction->toDouble() : 1;
    if (static_cast<double>(reduced_elements(self.sizes(), result)) <= result.correction) result.is_ours = false;
    return result;
  }
  static Tensor forward(const ReductionShape& shape, const Reduction& reduction) {
    return reduce(shape, true, {.divisor = static_cast<double>(shape.size) - reduction.correction, .root = root});
  }
  // d var = 2 (x - mean) / (n - correction); d std = d var / (2 std), nothing where std is 0.
  static Tensor backward(const ReductionGradient& g) {
    const double divisor = static_cast<double>(reduced_elements(g.sizes, g.reduction)) - g.reduction.correction;
    Tensor scale = g.grad * (2 / divisor);
    if constexpr (root) scale = (scale / (g.result * 2)).masked_fill(g.result == 0, 0);
    const Tensor mean = g.reduction.dims.empty() ? g.self.mean() : at::mean(g.self, g.reduction.dims, true);
    return g.restored(scale) * (g.self - mean);
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
