// Runs the kernels of kernels/normalization.h over tensors.
#include "normalization.h"

#include <c10/util/SmallVector.h>

#include <cstring>
#include <limits>

#include "entropy.h"
#include "results.h"

namespace rusttorch {
namespace {

// Nanoseconds per element on one AVX2 core.
constexpr double kForwardCost = 0.2, kBackwardCost = 0.4, kColumnCost = 0.3;
// Columns of dw and db that are summed at once.
constexpr int64_t kColumns = 256;

// Gradients of weight and bias are summed in the compute type over so many rows, and these sums in double: their bits
// depend on the number of rows, not on the threads. A chunk is also what one thread takes.
int64_t rows_per_chunk(int64_t rows) {
  if (rows >= 1024) return 64;
  return std::max<int64_t>(4, (rows / 16 + 3) / 4 * 4);
}

bool is_plain(const Tensor& tensor) {
  return tensor.device().is_cpu() && tensor.layout() == at::kStrided && !tensor.is_neg() && !tensor._is_zerotensor();
}
const void* data_or_null(const Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }
Tensor contiguous_or_undefined(const Tensor& tensor) { return tensor.defined() ? tensor.contiguous() : tensor; }

Tensor empty_statistics(const Tensor& input, size_t normalized_dims) {
  c10::SmallVector<int64_t, 6> sizes(input.sizes().begin(), input.sizes().end());
  for (size_t i = sizes.size() - normalized_dims; i < sizes.size(); ++i) sizes[i] = 1;
  return empty_result(sizes, compute_type(input.scalar_type()));
}

char* element(void* data, int64_t bytes) { return data ? static_cast<char*>(data) + bytes : nullptr; }

// Writes rows [begin, end) of `bytes` each to `out`, at most `together` at a time: compute(to, row, count). Beyond the
// caches by way of a buffer (stream.h).
template <class Compute>
void write_rows(char* out, int64_t bytes, int64_t begin, int64_t end, int64_t together, bool streams,
                const Compute& compute) {
  if (!streams) return compute(out ? out + begin * bytes : nullptr, begin, end - begin);
  c10::SmallVector<char, 1024> buffer;
  buffer.resize_for_overwrite(size_t(together * bytes));
  for (int64_t row = begin; row < end; row += together) {
    const int64_t count = std::min(together, end - row);
    compute(buffer.data(), row, count);
    stream(out + row * bytes, buffer.data(), count * bytes);
  }
  stream_end();
}

// Rows that are written together: so many that the lines that two calls share, written in halves, are few. One by one,
// layer_norm of 16 Mi elements in rows of 50 took 32 ms on Zen 4, so 6.6.
int64_t rows_together(int64_t bytes, int64_t least) {
  return std::max<int64_t>(1, 8192 / std::max<int64_t>(1, least * bytes)) * least;
}

Tensor run_forward(NormalizationKernel kernel, const Tensor& input, const Tensor& weight, const Tensor& bias,
                   double eps, const NormalizedRows& rows, const Tensor& mean, const Tensor& rstd) {
  const Tensor in = input.contiguous(), w = contiguous_or_undefined(weight), b = contiguous_or_undefined(bias);
  Tensor result = empty_result(input.sizes(), input.scalar_type());
  char* const out = static_cast<char*>(result.data_ptr());
  const char* const from = static_cast<const char*>(in.const_data_ptr());
  void *const means = mean.defined() ? mean.data_ptr() : nullptr, *const scales =
                                                                      rstd.defined() ? rstd.data_ptr() : nullptr;
  const int64_t bytes = rows.size * int64_t(in.element_size());
  const int64_t statistic = input.scalar_type() == at::kDouble ? 8 : 4;
  const bool streams = 2 * rows.count * bytes > streaming_threshold();
  for_each_range(rows.count, kForwardCost * double(rows.size), [&](int64_t begin, int64_t end) {
    write_rows(out, bytes, begin, end, rows_together(bytes, 1), streams, [&](void* to, int64_t row, int64_t count) {
      kernel(to, element(means, row * statistic), element(scales, row * statistic), from + row * bytes, data_or_null(w),
             data_or_null(b), count, rows.size, eps);
    });
  });
  return result;
}

// sums: [chunks][stride] of the compute type -> gradient [size]: columns from `offset` on, added in double.
Tensor sum_chunks(const Tensor& sums, int64_t offset, const Tensor& like) {
  Tensor gradient = empty_result(like.sizes(), like.scalar_type());
  const int64_t chunks = sums.size(0), stride = sums.size(1), size = gradient.numel();
  const int64_t bytes = int64_t(sums.element_size());
  const char* const from = static_cast<const char*>(sums.const_data_ptr()) + offset * bytes;
  const SumColumnsKernel sum_columns = kernels().sum_columns[dtype_index(sums.scalar_type())];
  with_type(like.scalar_type(), [&]<class T, class C>(T, C) {
    T* const out = static_cast<T*>(gradient.data_ptr());
    const int64_t strips = (size + kColumns - 1) / kColumns;
    const double nanoseconds = kColumnCost * double(chunks * std::min(size, kColumns));
    for_each_range(strips, nanoseconds, [&](int64_t begin, int64_t end) {
      double totals[kColumns];
      for (int64_t first = begin * kColumns; first < std::min(size, end * kColumns); first += kColumns) {
        const int64_t count = std::min(kColumns, size - first);
        sum_columns(totals, from + first * bytes, chunks, count, stride);
        for (int64_t i = 0; i < count; ++i) out[first + i] = static_cast<T>(static_cast<C>(totals[i]));
      }
    });
  });
  return gradient;
}

struct Gradients {
  Tensor input, weight, bias;
};

// `mean` and `bias_like` are undefined for rms_norm.
Gradients run_backward(NormalizationBackwardKernel kernel, const Tensor& grad_output, const Tensor& input,
                       const Tensor& mean, const Tensor& rstd, const Tensor& weight, const Tensor& bias,
                       const NormalizedRows& rows, std::array<bool, 3> mask) {
  const at::ScalarType compute = compute_type(input.scalar_type());
  const Tensor grad = grad_output.contiguous(), in = input.contiguous(), w = contiguous_or_undefined(weight);
  const Tensor means = mean.defined() ? mean.to(compute).contiguous() : mean, scales = rstd.to(compute).contiguous();
  Gradients gradients;
  if (mask[0]) gradients.input = empty_result(input.sizes(), input.scalar_type());
  const int64_t together = rows_per_chunk(rows.count), chunks = (rows.count + together - 1) / together;
  const int64_t bytes = rows.size * int64_t(in.element_size()), statistic = compute == at::kDouble ? 8 : 4;
  const bool sums_wanted = mask[1] || mask[2];
  const int64_t width = rows.size * (mean.defined() ? 2 : 1);
  const Tensor sums = sums_wanted ? empty_result({chunks, width}, compute) : Tensor();
  char* const sum = sums_wanted ? static_cast<char*>(sums.data_ptr()) : nullptr;
  char* const out = mask[0] ? static_cast<char*>(gradients.input.data_ptr()) : nullptr;
  const char *const dy = static_cast<const char*>(grad.const_data_ptr()), *const x = static_cast<const char*>(
                                                                              in.const_data_ptr());
  const char *const m = static_cast<const char*>(data_or_null(means)), *const r = static_cast<const char*>(
                                                                           scales.const_data_ptr());
  const bool streams = mask[0] && 3 * rows.count * bytes > streaming_threshold();
  for_each_range(chunks, kBackwardCost * double(rows.size * together), [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      char* const dw = sum ? sum + chunk * width * statistic : nullptr;
      char* const db = dw && mean.defined() ? dw + rows.size * statistic : nullptr;
      if (dw) std::memset(dw, 0, size_t(width * statistic));
      const int64_t last = std::min(rows.count, (chunk + 1) * together);
      write_rows(out, bytes, chunk * together, last, rows_together(bytes, 4), streams,
                 [&](void* to, int64_t row, int64_t count) {
                   kernel(to, dw, db, dy + row * bytes, x + row * bytes, m ? m + row * statistic : nullptr,
                          r + row * statistic, data_or_null(w), count, rows.size);
                 });
    }
  });
  if (mask[1]) gradients.weight = sum_chunks(sums, 0, weight);
  if (mask[2]) gradients.bias = sum_chunks(sums, rows.size, bias);
  return gradients;
}

// What a backward call needs beyond `decide_normalization`.
Decision decide_backward(const Tensor& grad_output, const Tensor& input, at::IntArrayRef normalized_shape,
                         const Tensor& mean, const Tensor& rstd, const Tensor& weight, const Tensor& bias,
                         NormalizedRows& rows) {
  const Decision decision = decide_normalization(input, normalized_shape, weight, bias, rows);
  if (decision != Decision::taken) return decision;
  if (grad_output.scalar_type() != input.scalar_type()) return Decision::dtype;
  if (!is_plain(grad_output) || grad_output.sizes() != input.sizes()) return Decision::arguments;
  for (const Tensor* tensor : {&mean, &rstd}) {
    if (!tensor->defined()) continue;
    if (!is_plain(*tensor) || tensor->numel() != rows.count) return Decision::arguments;
    if (tensor->scalar_type() != rows.statistics && tensor->scalar_type() != compute_type(input.scalar_type())) {
      return Decision::dtype;
    }
  }
  return Decision::taken;
}

double epsilon_or_default(const Tensor& input, std::optional<double> eps) {
  if (eps) return *eps;
  return input.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                            : double(std::numeric_limits<float>::epsilon());
}

// ATen's result follows the input's strides there.
bool is_channels_last(const Tensor& input) { return input.suggest_memory_format() != at::MemoryFormat::Contiguous; }

}  // namespace

Decision decide_normalization(const Tensor& input, at::IntArrayRef normalized_shape, const Tensor& weight,
                              const Tensor& bias, NormalizedRows& rows) {
  const at::ScalarType type = input.scalar_type();
  if (!is_floating_index(dtype_index(type))) return Decision::dtype;
  if (!is_plain(input)) return Decision::layout;
  const auto dims = static_cast<int64_t>(normalized_shape.size());
  if (dims == 0 || input.dim() < dims || input.numel() == 0) return Decision::arguments;
  if (input.sizes().slice(input.dim() - dims) != normalized_shape) return Decision::arguments;
  rows.statistics = type;
  for (const Tensor* tensor : {&weight, &bias}) {
    if (!tensor->defined()) continue;
    if (!is_plain(*tensor) || tensor->sizes() != normalized_shape) return Decision::arguments;
    if (tensor->scalar_type() != type) rows.mixed = true;
  }
  if (rows.mixed) {
    rows.statistics = at::kFloat;
    if (type == at::kFloat || type == at::kDouble) return Decision::dtype;
    for (const Tensor* tensor : {&weight, &bias}) {
      if (tensor->defined() && tensor->scalar_type() != at::kFloat) return Decision::dtype;
    }
  }
  for (const int64_t size : normalized_shape) rows.size *= size;
  rows.count = input.numel() / rows.size;
  return Decision::taken;
}

Normalized layer_norm_with_statistics(const Tensor& input, const Tensor& weight, const Tensor& bias, double eps,
                                      const NormalizedRows& rows, size_t normalized_dims) {
  const Tensor mean = empty_statistics(input, normalized_dims), rstd = empty_statistics(input, normalized_dims);
  const NormalizationKernel kernel = kernels().layer_norm[dtype_index(input.scalar_type())][rows.mixed];
  return {run_forward(kernel, input, weight, bias, eps, rows, mean, rstd), mean, rstd};
}
Normalized rms_norm_with_statistics(const Tensor& input, const Tensor& weight, std::optional<double> eps,
                                    const NormalizedRows& rows, size_t normalized_dims) {
  const Tensor rstd = empty_statistics(input, normalized_dims);
  const NormalizationKernel kernel = kernels().rms_norm[dtype_index(input.scalar_type())][rows.mixed];
  return {run_forward(kernel, input, weight, Tensor(), epsilon_or_default(input, eps), rows, Tensor(), rstd), Tensor(),
          rstd};
}

Tensor layer_norm_result(DecisionPoint& point, const Tensor& input, at::IntArrayRef normalized_shape,
                         const Tensor& weight, const Tensor& bias, double eps) {
  NormalizedRows rows;
  if (!point.count(decide_normalization(input, normalized_shape, weight, bias, rows))) return Tensor();
  const NormalizationKernel kernel = kernels().layer_norm[dtype_index(input.scalar_type())][rows.mixed];
  return run_forward(kernel, input, weight, bias, eps, rows, Tensor(), Tensor());
}
Tensor rms_norm_result(DecisionPoint& point, const Tensor& input, at::IntArrayRef normalized_shape,
                       const Tensor& weight, std::optional<double> eps) {
  NormalizedRows rows;
  Decision decision = decide_normalization(input, normalized_shape, weight, Tensor(), rows);
  if (decision == Decision::taken && is_channels_last(input)) decision = Decision::layout;
  if (!point.count(decision)) return Tensor();
  const NormalizationKernel kernel = kernels().rms_norm[dtype_index(input.scalar_type())][rows.mixed];
  return run_forward(kernel, input, weight, Tensor(), epsilon_or_default(input, eps), rows, Tensor(), Tensor());
}

std::optional<std::tuple<Tensor, Tensor, Tensor>> native_layer_norm(DecisionPoint& point, const Tensor& input,
                                                                    at::IntArrayRef normalized_shape,
                                                                    const Tensor& weight, const Tensor& bias,
                                                                    double eps) {
  NormalizedRows rows;
  if (!point.count(decide_normalization(input, normalized_shape, weight, bias, rows))) return std::nullopt;
  const auto [result, mean, rstd] = layer_norm_with_statistics(input, weight, bias, eps, rows, normalized_shape.size());
  return std::tuple(result, mean.to(rows.statistics), rstd.to(rows.statistics));
}

std::optional<std::tuple<Tensor, Tensor, Tensor>> native_layer_norm_backward(
    DecisionPoint& point, const Tensor& grad_output, const Tensor& input, at::IntArrayRef normalized_shape,
    const Tensor& mean, const Tensor& rstd, const Tensor& weight, const Tensor& bias, std::array<bool, 3> mask) {
  NormalizedRows rows;
  Decision decision = decide_backward(grad_output, input, normalized_shape, mean, rstd, weight, bias, rows);
  if ((mask[1] && !weight.defined()) || (mask[2] && !bias.defined())) decision = Decision::arguments;
  if (!point.count(decision)) return std::nullopt;
  const NormalizationBackwardKernel kernel =
      kernels().layer_norm_backward[dtype_index(input.scalar_type())][rows.mixed];
  const Gradients g = run_backward(kernel, grad_output, input, mean, rstd, weight, bias, rows, mask);
  return std::tuple(g.input, g.weight, g.bias);
}

std::optional<std::tuple<Tensor, Tensor>> fused_rms_norm(DecisionPoint& point, const Tensor& input,
                                                         at::IntArrayRef normalized_shape, const Tensor& weight,
                                                         std::optional<double> eps) {
  NormalizedRows rows;
  Decision decision = decide_normalization(input, normalized_shape, weight, Tensor(), rows);
  if (decision == Decision::taken && is_channels_last(input)) decision = Decision::layout;
  if (!point.count(decision)) return std::nullopt;
  const Normalized n = rms_norm_with_statistics(input, weight, eps, rows, normalized_shape.size());
  return std::tuple(n.result, n.rstd);
}

std::optional<std::tuple<Tensor, Tensor>> fused_rms_norm_backward(DecisionPoint& point, const Tensor& grad_output,
                                                                  const Tensor& input, at::IntArrayRef normalized_shape,
                                                                  const Tensor& rstd, const Tensor& weight,
                                                                  std::array<bool, 2> mask) {
  NormalizedRows rows;
  Decision decision = decide_backward(grad_output, input, normalized_shape, Tensor(), rstd, weight, Tensor(), rows);
  if (mask[1] && !weight.defined()) decision = Decision::arguments;
  if (!point.count(decision)) return std::nullopt;
  const NormalizationBackwardKernel kernel = kernels().rms_norm_backward[dtype_index(input.scalar_type())][rows.mixed];
  const Gradients g =
      run_backward(kernel, grad_output, input, Tensor(), rstd, weight, Tensor(), rows, {mask[0], mask[1], false});
  return std::tuple(g.input, g.weight);
}

}  // namespace rusttorch
