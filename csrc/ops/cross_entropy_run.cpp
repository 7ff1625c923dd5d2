#include "cross_entropy_run.h"

#include <memory>

#include "results.h"

namespace rusttorch {
namespace {

// Nanoseconds per element on one AVX2 core.
constexpr double kForwardCost = 0.4, kBackwardCost = 0.4;
// Elements of a gradient that are computed in the first-level cache before they are streamed.
constexpr int64_t kStreamedBytes = 4096;

// As sum(w (max - x)) with a maximum of 0: in the same order for any number of threads.
double sum_of(const Tensor& weight) {
  const double zero = 0;  // all bits are, of a float, too
  double negative = 0;
  kernels().smoothing_sums[dtype_index(weight.scalar_type())](&negative, weight.const_data_ptr(), &zero, nullptr, 1,
                                                              weight.numel());
  return -negative;
}

// What unit_loss does without weights and smoothing: of (8192, 50), a third of the time was in its branches.
template <class T, class C>
std::pair<double, double> plain_losses(const C* max, const C* log_sum, const T* in, const int64_t* target,
                                       const Units::Unit& unit, int64_t ignore_index, T* out) {
  double total = 0;
  int64_t counted = 0;
  for (int64_t k = 0; k < unit.count; ++k) {
    const bool counts = target[k] != ignore_index;
    const double m = max[k], x = static_cast<C>(in[k * unit.step + (counts ? target[k] : 0) * unit.classes]);
    const double loss = ((m - x) + log_sum[k]) + (m - m);  // m - m: NaN where m is not finite
    total += counts ? loss : 0;
    counted += counts;
    if (out) out[k] = static_cast<T>(static_cast<C>(counts ? loss : 0));
  }
  return {total, static_cast<double>(counted)};
}

// As the kernel smoothing_sums, down columns; in double, class after class.
template <class T, class C>
void smoothing_sums_of_columns(double* out, const T* in, const C* max, const C* weight, int64_t columns,
                               const Shape& shape) {
  std::fill_n(out, columns, 0.0);
  for (int64_t c = 0; c < shape.size; ++c) {
    const double w = weight ? weight[c] : 1;
    const T* const row = in + c * shape.inner;
    for (int64_t k = 0; k < columns; ++k) out[k] += w * (static_cast<double>(max[k]) - static_cast<C>(row[k]));
  }
}

// Loss and weight of one unit; max and log_sum of its positions are written. `out` takes every loss, `kept` every
// exponential of a row; or they are null.
template <class T, class C>
std::pair<double, double> unit_loss(const EntropyProblem& problem, const Units::Unit& unit, C* max, C* log_sum, T* out,
                                    T* kept = nullptr) {
  const Shape& shape = problem.units.shape;
  const int dtype = problem.dtype();
  const int64_t* const target = problem.targets() + unit.first;
  const T* const in = static_cast<const T*>(problem.input.const_data_ptr()) + unit.offset;
  const C* const weight = problem.weight.defined() ? static_cast<const C*>(problem.weight.const_data_ptr()) : nullptr;
  double smooth[Units::kMost];
  if (shape.inner == 1) {
    if (kept) kernels().logsumexp_kept[dtype](max, log_sum, kept, in, unit.count, shape.size);
    else kernels().logsumexp[dtype](max, log_sum, in, unit.count, shape.size);
    if (problem.smoothing > 0) kernels().smoothing_sums[dtype](smooth, in, max, weight, unit.count, shape.size);
  } else {
    kernels().logsumexp_columns[dtype](max, log_sum, in, shape.size, unit.count, shape.inner);
    if (problem.smoothing > 0) smoothing_sums_of_columns(smooth, in, max, weight, unit.count, shape);
  }
  if (!weight && problem.smoothing == 0) {
    return plain_losses(max, log_sum, in, target, unit, problem.ignore_index, out);
  }
  double total = 0, total_weight = 0;
  for (int64_t k = 0; k < unit.count; ++k) {
    double loss = 0;
    if (target[k] != problem.ignore_index) {
      const double m = max[k], x = static_cast<C>(in[k * unit.step + target[k] * unit.classes]), rest = log_sum[k];
      const double w = weight ? weight[target[k]] : 1;
      loss = ((m - x) + rest) * w;
      if (problem.smoothing > 0) {
        loss = (1 - problem.smoothing) * loss + problem.per_class() * (smooth[k] + problem.weight_sum * rest);
      }
      if (!std::isfinite(m)) loss = std::numeric_limits<double>::quiet_NaN();  // as log_softmax of such a row
      total += loss;
      total_weight += w;
    }
    if (out) out[k] = static_cast<T>(static_cast<C>(loss));
  }
  return {total, total_weight};
}

// The gradient of one unit, row by row around the caches.
template <class T, class C>
void stream_rows(T* out, const T* in, int64_t rows, int64_t size, LogsumexpBackwardKernel kernel,
                 const GradientTerms& terms) {
  alignas(64) T buffer[kStreamedBytes / sizeof(T)];
  constexpr int64_t most = kStreamedBytes / sizeof(T);
  const auto from = [&](int64_t row, int64_t element) {
    GradientTerms moved = terms;
    moved.max = static_cast<const C*>(terms.max) + row;
    moved.log_sum = static_cast<const C*>(terms.log_sum) + row;
    moved.scale = static_cast<const C*>(terms.scale) + row;
    if (terms.offset) moved.offset = static_cast<const C*>(terms.offset) + row;
    if (terms.weight) moved.weight = static_cast<const C*>(terms.weight) + element;
    moved.peak = static_cast<const C*>(terms.peak) + row;
    moved.target = terms.target + row;
    return moved;
  };
  const int64_t at_once = most / size;
  if (at_once > 0) {
    for (int64_t row = 0; row < rows; row += at_once) {
      const int64_t count = std::min(at_once, rows - row);
      kernel(buffer, in + row * size, count, size, from(row, 0));
      stream(out + row * size, buffer, count * size * int64_t(sizeof(T)));
    }
    return;
  }
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t begin = 0; begin < size; begin += most) {
      const int64_t count = std::min(most, size - begin), at = row * size + begin;
      const int64_t target = terms.target[row] - begin;
      GradientTerms moved = from(row, begin);
      moved.target = &target;
      kernel(buffer, in + at, 1, count, moved);
      stream(out + at, buffer, count * int64_t(sizeof(T)));
    }
  }
}

bool streams_gradient(const Tensor& gradient) {
  return 2 * static_cast<int64_t>(gradient.nbytes()) > streaming_threshold();
}

// What reduction="mean" divides by, before the losses are known; in the order of LossSums. Targets out of bounds, which are
// refused later, count nothing.
double weight_of_targets(const EntropyProblem& problem) {
  const int64_t* const target = problem.targets();
  const int64_t n = problem.target.numel();
  if (!problem.weight.defined()) {
    return static_cast<double>(n - std::count(target, target + n, problem.ignore_index));
  }
  const uint64_t size = static_cast<uint64_t>(problem.units.shape.size);
  double total = 0;
  with_type(problem.weight.scalar_type(), [&]<class T, class C>(T, C) {
    const T* const weight = static_cast<const T*>(problem.weight.const_data_ptr());
    for (int64_t index = 0; index < problem.units.count; ++index) {
      const Units::Unit unit = problem.units.unit(index);
      double of_unit = 0;
      for (int64_t k = unit.first; k < unit.first + unit.count; ++k) {
        const bool counts = target[k] != problem.ignore_index && static_cast<uint64_t>(target[k]) < size;
        if (counts) of_unit += static_cast<C>(weight[target[k]]);
      }
      total += of_unit;
    }
  });
  return total;
}

// The terms of a unit's gradient. `grads`: of each position, or null: all are `grad`.
template <class C>
struct RowTerms {
  C scale[Units::kMost], peak[Units::kMost], offset[Units::kMost];

  template <class T>
  GradientTerms of(const EntropyProblem& problem, const Units::Unit& unit, const C* max, const C* log_sum,
                   const T* grads, double grad, double divisor) {
    const int64_t* const target = problem.targets() + unit.first;
    const C* const weight = problem.weight.defined() ? static_cast<const C*>(problem.weight.const_data_ptr()) : nullptr;
    const uint64_t size = static_cast<uint64_t>(problem.units.shape.size);
    const double kept = 1 - problem.smoothing, share = problem.per_class(), shares = share * problem.weight_sum;
    grad /= divisor;
    for (int64_t k = 0; k < unit.count; ++k) {
      if (grads) grad = static_cast<C>(grads[k]) / divisor;
      // A target out of bounds was refused before; one that was overwritten since then is nowhere.
      const bool counts = target[k] != problem.ignore_index && static_cast<uint64_t>(target[k]) < size;
      const double at_target = grad * kept * (weight && counts ? weight[target[k]] : C(1));
      peak[k] = counts ? static_cast<C>(at_target) : C(0);
      offset[k] = counts ? static_cast<C>(grad * share) : C(0);
      const double smoothed = problem.smoothing > 0 ? grad * shares : 0;  // an infinite grad times 0 is NaN
      const C value = counts ? static_cast<C>(at_target + smoothed) : C(0);
      scale[k] = std::isfinite(max[k]) ? value : std::numeric_limits<C>::quiet_NaN();
    }
    GradientTerms terms{};
    terms.max = max;
    terms.log_sum = log_sum;
    terms.scale = scale;
    terms.peak = peak;
    terms.target = target;
    if (problem.smoothing > 0) {
      terms.offset = offset;
      terms.weight = weight;
    }
    return terms;
  }
};

}  // namespace

EntropyProblem::EntropyProblem(const Tensor& self, const Tensor& target_, const Tensor& weight_, int64_t reduction_,
                               int64_t ignore_index_, double smoothing_)
    : input(self.contiguous()),
      target(target_.contiguous()),
      reduction(reduction_),
      ignore_index(ignore_index_),
      smoothing(smoothing_),
      units(split_at(input, class_dim(self))) {
  weight_sum = static_cast<double>(units.shape.size);
  if (!weight_.defined()) return;
  weight = weight_.to(compute_type(self.scalar_type())).contiguous();
  if (smoothing > 0) weight_sum = sum_of(weight);
}

bool makes_gradient(const EntropyProblem& problem) {
  return problem.input.scalar_type() == compute_type(problem.input.scalar_type()) && problem.units.shape.inner == 1 &&
         problem.reduction != at::Reduction::None;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> entropy(const EntropyProblem& problem, bool keeps, Tensor* gradient) {
  const at::ScalarType type = problem.input.scalar_type(), wide = compute_type(type);
  const at::IntArrayRef none = {}, sizes = problem.target.sizes();
  const bool reduces = problem.reduction != at::Reduction::None;
  const Tensor loss = empty_result(reduces ? none : sizes, type);
  const Tensor max = keeps ? empty_result(sizes, wide) : Tensor(),
               log_sum = keeps ? empty_result(sizes, wide) : Tensor();
  const Units& units = problem.units;
  const int64_t size = units.shape.size;
  LossSums sums(units.count);
  double divisor_of_gradient = 1;
  bool streams = false;
  if (gradient) {
    if (problem.reduction == at::Reduction::Mean) divisor_of_gradient = weight_of_targets(problem);
    *gradient = empty_result(problem.input.sizes(), type);
    streams = streams_gradient(*gradient);
  }
  with_type(type, [&]<class T, class C>(T, C) {
    T* const out = static_cast<T*>(loss.data_ptr());
    T* const gradients = gradient ? static_cast<T*>(gradient->data_ptr()) : nullptr;
    C* const max_data = keeps ? static_cast<C*>(max.data_ptr()) : nullptr;
    C* const log_sum_data = keeps ? static_cast<C*>(log_sum.data_ptr()) : nullptr;
    const double nanoseconds = kForwardCost * static_cast<double>(size * std::min(units.width, problem.target.numel()));
    for_each_range(units.count, nanoseconds, [&](int64_t begin, int64_t end) {
      C scratch[2 * Units::kMost];
      RowTerms<C> rows;
      const auto exponentials = std::make_unique_for_overwrite<T[]>(streams ? units.width * size : 0);
      for (int64_t k = begin; k < end; ++k) {
        const Units::Unit unit = units.unit(k);
        if (any_out_of_bounds(problem.targets() + unit.first, unit.count, problem.ignore_index, size)) {
          sums.out_of_bounds = true;
          return;
        }
        C* const max_of_unit = keeps ? max_data + unit.first : scratch;
        C* const log_sum_of_unit = keeps ? log_sum_data + unit.first : scratch + Units::kMost;
        T* const to = gradients + unit.offset;
        T* const kept = streams ? exponentials.get() : gradients ? to : nullptr;
        const auto [total, weight] =
            unit_loss<T, C>(problem, unit, max_of_unit, log_sum_of_unit, reduces ? nullptr : out + unit.first, kept);
        sums.put(k, total, weight);
        if (!gradients) continue;
        const GradientTerms terms =
            rows.template of<T>(problem, unit, max_of_unit, log_sum_of_unit, nullptr, 1, divisor_of_gradient);
        const LogsumexpBackwardKernel kernel = kernels().gradient_of_kept[problem.dtype()];
        if (streams) stream_rows<T, C>(to, kept, unit.count, size, kernel, terms);
        else kernel(to, kept, unit.count, size, terms);
      }
      if (streams) stream_end();
    });
    if (sums.out_of_bounds) refuse_targets(problem.targets(), problem.target.numel(), problem.ignore_index, size);
    if (!reduces) return;
    const double divisor = problem.reduction == at::Reduction::Mean ? sums.total(1) : 1;
    // With smoothing PyTorch divides two sums, and by 0 gives NaN or infinities of any signs; here it is NaN.
    const bool undefined = divisor == 0 && problem.smoothing > 0;
    const double loss_value = undefined ? std::numeric_limits<double>::quiet_NaN() : sums.total(0) / divisor;
    *out = static_cast<T>(static_cast<C>(loss_value));
  });
  Tensor total_weight;
  if (keeps) {
    total_weight = empty_result(none, at::kDouble);
    *total_weight.data_ptr<double>() = sums.total(1);
  }
  return {loss, max, log_sum, total_weight};
}

Tensor entropy_gradient(const EntropyProblem& problem, const Tensor& grad_output, const Tensor& max,
                        const Tensor& log_sum, double divisor) {
  const Units& units = problem.units;
  const Shape& shape = units.shape;
  const at::ScalarType type = problem.input.scalar_type();
  Tensor grad_input = empty_result(problem.input.sizes(), type);
  const bool streams = streams_gradient(grad_input) && shape.inner == 1;
  with_type(type, [&]<class T, class C>(T, C) {
    T* const out = static_cast<T*>(grad_input.data_ptr());
    const T* const in = static_cast<const T*>(problem.input.const_data_ptr());
    const T* const given = static_cast<const T*>(grad_output.const_data_ptr());
    const T* const grads = problem.reduction == at::Reduction::None ? given : nullptr;
    const double grad = grads ? 0 : static_cast<double>(static_cast<C>(*given));
    const C* const maxima = static_cast<const C*>(max.const_data_ptr());
    const C* const log_sums = static_cast<const C*>(log_sum.const_data_ptr());
    const double nanoseconds =
        kBackwardCost * static_cast<double>(shape.size * std::min(units.width, problem.target.numel()));
    for_each_range(units.count, nanoseconds, [&](int64_t begin, int64_t end) {
      RowTerms<C> rows;
      for (int64_t index = begin; index < end; ++index) {
        const Units::Unit unit = units.unit(index);
        const GradientTerms terms = rows.of(problem, unit, maxima + unit.first, log_sums + unit.first,
                                            grads ? grads + unit.first : nullptr, grad, divisor);
        const int dtype = problem.dtype();
        T* const to = out + unit.offset;
        const T* const from = in + unit.offset;
        const LogsumexpBackwardKernel kernel = kernels().logsumexp_backward[dtype];
        if (streams) stream_rows<T, C>(to, from, unit.count, shape.size, kernel, terms);
        else if (shape.inner == 1) kernel(to, from, unit.count, shape.size, terms);
        else kernels().logsumexp_columns_backward[dtype](to, from, shape.size, unit.count, shape.inner, terms);
      }
      if (streams) stream_end();
    });
  });
  return grad_input;
}

DecisionPoint& entropy_point() {
  static DecisionPoint& instance = *new DecisionPoint("cross_entropy_loss");
  return instance;
}
DecisionPoint& entropy_gradient_point() {
  static DecisionPoint& instance = *new DecisionPoint("_cross_entropy_backward");
  return instance;
}

double entropy_in_place(const Tensor& logits, const Tensor& target, const std::optional<Tensor>& weight,
                        std::optional<double> scale, int64_t ignore_index, double smoothing) {
  const bool fits = logits.is_contiguous() && logits.dim() == 2 && smoothing >= 0 && smoothing <= 1 &&
                    decide_entropy(logits, target, tensor_of(weight), at::Reduction::Sum) == Decision::taken;
  TORCH_CHECK(fits, "entropy_in_place(): expected contiguous logits of two dimensions and a class for each row");
  entropy_point().count(Decision::taken);
  if (scale) entropy_gradient_point().count(Decision::taken);
  const EntropyProblem problem(logits, target, tensor_of(weight), at::Reduction::Sum, ignore_index, smoothing);
  const Units& units = problem.units;
  const int64_t size = units.shape.size;
  LossSums sums(units.count);
  with_type(logits.scalar_type(), [&]<class T, class C>(T, C) {
    const double nanoseconds =
        (kForwardCost + kBackwardCost) * static_cast<double>(size * std::min(units.width, problem.target.numel()));
    for_each_range(units.count, nanoseconds, [&](int64_t begin, int64_t end) {
      C max[Units::kMost], log_sum[Units::kMost];
      RowTerms<C> rows;
      for (int64_t index = begin; index < end; ++index) {
        const Units::Unit unit = units.unit(index);
        if (any_out_of_bounds(problem.targets() + unit.first, unit.count, ignore_index, size)) {
          sums.out_of_bounds = true;
          return;
        }
        const auto [total, total_weight] = unit_loss<T, C>(problem, unit, max, log_sum, nullptr);
        sums.put(index, total, total_weight);
        if (!scale) continue;
        T* const data = static_cast<T*>(logits.data_ptr()) + unit.offset;
        const GradientTerms terms = rows.template of<T>(problem, unit, max, log_sum, nullptr, *scale, 1);
        kernels().logsumexp_backward[problem.dtype()](data, data, unit.count, size, terms);
      }
    });
  });
  if (sums.out_of_bounds) refuse_targets(problem.targets(), problem.target.numel(), ignore_index, size);
  return sums.total(0);
}

}  // namespace rusttorch
