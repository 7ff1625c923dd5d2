// cross_entropy_loss of class indices. Forward reads the input once and keeps two numbers a row; backward reads it once
// more and writes the gradient, so that neither probabilities nor their logarithms are ever stored.
#include <ATen/core/Tensor.h>
#include <ATen/ops/cross_entropy_loss_ops.h>

#include "autocast.h"
#include "autograd.h"
#include "entropy.h"
#include "results.h"

namespace rusttorch {
namespace {

using Aten = at::_ops::cross_entropy_loss;
using Forward = ops::_cross_entropy_forward;
using Backward = ops::_cross_entropy_backward;

// Nanoseconds per element on one AVX2 core.
constexpr double kForwardCost = 0.4, kBackwardCost = 0.4;
// Elements of a gradient that are computed in the first-level cache before they are streamed.
constexpr int64_t kStreamedBytes = 4096;

DecisionPoint& point() {
  static DecisionPoint& instance = *new DecisionPoint("cross_entropy_loss");
  return instance;
}

// Smoothing adds up a row's elements, for which there is no kernel down columns.
Decision decide(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction, double smoothing) {
  const Decision decision = decide_entropy(self, target, weight, reduction);
  if (decision != Decision::taken) return decision;
  const bool is_valid = smoothing >= 0 && smoothing <= 1;
  return is_valid && (smoothing == 0 || self.dim() <= 2) ? Decision::taken : Decision::arguments;
}

// One call's arguments, contiguous.
struct Problem {
  Tensor input, target, weight;  // weight in the compute type
  int64_t reduction, ignore_index;
  double smoothing, weight_sum;  // the sum of all weights
  Units units;

  Problem(const Tensor& self, const Tensor& target_, const Tensor& weight_, int64_t reduction_, int64_t ignore_index_,
          double smoothing_)
      : input(self.contiguous()),
        target(target_.contiguous()),
        reduction(reduction_),
        ignore_index(ignore_index_),
        smoothing(smoothing_),
        units(split_at(input, class_dim(self))) {
    weight_sum = static_cast<double>(units.shape.size);
    if (!weight_.defined()) return;
    weight = weight_.to(compute_type(self.scalar_type())).contiguous();
    if (smoothing > 0) weight_sum = sum_of_weights();
  }
  const int64_t* targets() const { return target.const_data_ptr<int64_t>(); }
  int dtype() const { return dtype_index(input.scalar_type()); }
  // As sum(w (max - x)) with a maximum of 0: in the same order for any number of threads.
  double sum_of_weights() const {
    const double zero = 0;  // all bits are, of a float, too
    double negative = 0;
    kernels().smoothing_sums[dtype_index(weight.scalar_type())](&negative, weight.const_data_ptr(), &zero, nullptr, 1,
                                                                weight.numel());
    return -negative;
  }
  double per_class() const { return smoothing / static_cast<double>(units.shape.size); }
};

// Loss and weight of one unit; max and log_sum of its positions are written. `out` takes every loss, or is null.
template <class T, class C>
std::pair<double, double> unit_loss(const Problem& problem, const Units::Unit& unit, C* max, C* log_sum, T* out) {
  const Shape& shape = problem.units.shape;
  const int dtype = problem.dtype();
  const int64_t* const target = problem.targets() + unit.first;
  const T* const in = static_cast<const T*>(problem.input.const_data_ptr()) + unit.offset;
  const C* const weight = problem.weight.defined() ? static_cast<const C*>(problem.weight.const_data_ptr()) : nullptr;
  double smooth[Units::kMost];
  if (shape.inner == 1) {
    kernels().logsumexp[dtype](max, log_sum, in, unit.count, shape.size);
    if (problem.smoothing > 0) kernels().smoothing_sums[dtype](smooth, in, max, weight, unit.count, shape.size);
  } else {
    kernels().logsumexp_columns[dtype](max, log_sum, in, shape.size, unit.count, shape.inner);
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

// With `keeps`, max and log_sum are results, too.
std::tuple<Tensor, Tensor, Tensor, Tensor> forward(const Problem& problem, bool keeps) {
  const at::ScalarType type = problem.input.scalar_type(), wide = compute_type(type);
  const at::IntArrayRef none = {}, sizes = problem.target.sizes();
  const bool reduces = problem.reduction != at::Reduction::None;
  const Tensor loss = empty_result(reduces ? none : sizes, type);
  const Tensor max = keeps ? empty_result(sizes, wide) : Tensor(),
               log_sum = keeps ? empty_result(sizes, wide) : Tensor();
  const Units& units = problem.units;
  LossSums sums(units.count);
  with_type(type, [&]<class T, class C>(T, C) {
    T* const out = static_cast<T*>(loss.data_ptr());
    C* const max_data = keeps ? static_cast<C*>(max.data_ptr()) : nullptr;
    C* const log_sum_data = keeps ? static_cast<C*>(log_sum.data_ptr()) : nullptr;
    const double nanoseconds =
        kForwardCost * static_cast<double>(units.shape.size * std::min(units.width, problem.target.numel()));
    for_each_range(units.count, nanoseconds, [&](int64_t begin, int64_t end) {
      C scratch[2 * Units::kMost];
      for (int64_t k = begin; k < end; ++k) {
        const Units::Unit unit = units.unit(k);
        if (any_out_of_bounds(problem.targets() + unit.first, unit.count, problem.ignore_index, units.shape.size)) {
          sums.out_of_bounds = true;
          return;
        }
        const auto [total, weight] = unit_loss<T, C>(problem, unit, keeps ? max_data + unit.first : scratch,
                                                     keeps ? log_sum_data + unit.first : scratch + Units::kMost,
                                                     reduces ? nullptr : out + unit.first);
        sums.put(k, total, weight);
      }
    });
    if (sums.out_of_bounds) {
      refuse_targets(problem.targets(), problem.target.numel(), problem.ignore_index, units.shape.size);
    }
    if (!reduces) return;
    const double divisor = problem.reduction == at::Reduction::Mean ? sums.total(1) : 1;
    *out = static_cast<T>(static_cast<C>(sums.total(0) / divisor));
  });
  Tensor total_weight;
  if (keeps) {
    total_weight = empty_result(none, at::kDouble);
    *total_weight.data_ptr<double>() = sums.total(1);
  }
  return {loss, max, log_sum, total_weight};
}

Tensor cpu(const Tensor& self, const Tensor& target, const std::optional<Tensor>& weight, int64_t reduction,
           c10::SymInt ignore_index, double smoothing) {
  if (!point().count(decide(self, target, tensor_of(weight), reduction, smoothing))) {
    return Aten::call(self, target, weight, reduction, std::move(ignore_index), smoothing);
  }
  const Problem problem(self, target, tensor_of(weight), reduction, ignore_index.expect_int(), smoothing);
  return std::get<0>(forward(problem, false));
}

std::tuple<Tensor, Tensor, Tensor, Tensor> forward_cpu(const Tensor& self, const Tensor& target,
                                                       const std::optional<Tensor>& weight, int64_t reduction,
                                                       c10::SymInt ignore_index, double smoothing) {
  if (!point().count(decide(self, target, tensor_of(weight), reduction, smoothing))) {
    return Forward::call(self, target, weight, reduction, std::move(ignore_index), smoothing);
  }
  const Problem problem(self, target, tensor_of(weight), reduction, ignore_index.expect_int(), smoothing);
  return forward(problem, true);
}

// The gradient of one unit, row by row around the caches.
template <class T, class C>
void stream_rows(T* out, const T* in, int64_t rows, int64_t size, int dtype, const GradientTerms& terms) {
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
      kernels().logsumexp_backward[dtype](buffer, in + row * size, count, size, from(row, 0));
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
      kernels().logsumexp_backward[dtype](buffer, in + at, 1, count, moved);
      stream(out + at, buffer, count * int64_t(sizeof(T)));
    }
  }
}

Tensor backward(const Problem& problem, const Tensor& grad_output, const Tensor& max, const Tensor& log_sum,
                double divisor) {
  const Units& units = problem.units;
  const Shape& shape = units.shape;
  const at::ScalarType type = problem.input.scalar_type();
  Tensor grad_input = empty_result(problem.input.sizes(), type);
  const int64_t grad_step = problem.reduction == at::Reduction::None ? 1 : 0;
  const bool streams = 2 * static_cast<int64_t>(grad_input.nbytes()) > streaming_threshold() && shape.inner == 1;
  with_type(type, [&]<class T, class C>(T, C) {
    T* const out = static_cast<T*>(grad_input.data_ptr());
    const T* const in = static_cast<const T*>(problem.input.const_data_ptr());
    const T* const grads = static_cast<const T*>(grad_output.const_data_ptr());
    const C* const maxima = static_cast<const C*>(max.const_data_ptr());
    const C* const weight = problem.weight.defined() ? static_cast<const C*>(problem.weight.const_data_ptr()) : nullptr;
    const double nanoseconds =
        kBackwardCost * static_cast<double>(shape.size * std::min(units.width, problem.target.numel()));
    for_each_range(units.count, nanoseconds, [&](int64_t begin, int64_t end) {
      C scale[Units::kMost], peak[Units::kMost], offset[Units::kMost];
      for (int64_t index = begin; index < end; ++index) {
        const Units::Unit unit = units.unit(index);
        const int64_t* const target = problem.targets() + unit.first;
        for (int64_t k = 0; k < unit.count; ++k) {
          const C m = maxima[unit.first + k];
          scale[k] = peak[k] = offset[k] = 0;
          // A target out of bounds was refused before; one that was overwritten since then is nowhere.
          if (target[k] != problem.ignore_index && uint64_t(target[k]) < uint64_t(shape.size)) {
            const double grad = static_cast<C>(grads[(unit.first + k) * grad_step]) / divisor;
            const double at_target = grad * (1 - problem.smoothing) * (weight ? weight[target[k]] : 1);
            peak[k] = static_cast<C>(at_target);
            offset[k] = static_cast<C>(grad * problem.per_class());
            scale[k] = static_cast<C>(at_target + grad * problem.per_class() * problem.weight_sum);
          }
          if (!std::isfinite(m)) scale[k] = std::numeric_limits<C>::quiet_NaN();
        }
        GradientTerms terms{};
        terms.max = maxima + unit.first;
        terms.log_sum = static_cast<const C*>(log_sum.const_data_ptr()) + unit.first;
        terms.scale = scale;
        terms.peak = peak;
        terms.target = target;
        if (problem.smoothing > 0) {
          terms.offset = offset;
          terms.weight = weight;
        }
        const int dtype = problem.dtype();
        T* const to = out + unit.offset;
        const T* const from = in + unit.offset;
        if (streams) stream_rows<T, C>(to, from, unit.count, shape.size, dtype, terms);
        else if (shape.inner == 1) kernels().logsumexp_backward[dtype](to, from, unit.count, shape.size, terms);
        else kernels().logsumexp_columns_backward[dtype](to, from, shape.size, unit.count, shape.inner, terms);
      }
      if (streams) stream_end();
    });
  });
  return grad_input;
}

Tensor backward_cpu(const Tensor& grad_output, const Tensor& self, const Tensor& target,
                    const std::optional<Tensor>& weight, int64_t reduction, c10::SymInt ignore_index, double smoothing,
                    const Tensor& max, const Tensor& log_sum, const Tensor& total_weight) {
  static DecisionPoint& backward_point = *new DecisionPoint("_cross_entropy_backward");
  const at::ScalarType wide = compute_type(self.scalar_type());
  Decision decision = decide(self, target, tensor_of(weight), reduction, smoothing);
  if (decision == Decision::taken) {
    const bool fits =
        max.scalar_type() == wide && log_sum.scalar_type() == wide && max.sizes() == target.sizes() &&
        log_sum.sizes() == target.sizes() && total_weight.numel() == 1 &&
        (reduction == at::Reduction::None ? grad_output.sizes() == target.sizes() : grad_output.numel() == 1);
    if (!fits) decision = Decision::arguments;
    else if (grad_output.scalar_type() != self.scalar_type()) decision = Decision::dtype;
  }
  if (!backward_point.count(decision)) {
    return Backward::call(grad_output, self, target, weight, reduction, std::move(ignore_index), smoothing, max,
                          log_sum, total_weight);
  }
  const Problem problem(self, target, tensor_of(weight), reduction, ignore_index.expect_int(), smoothing);
  const double divisor = reduction == at::Reduction::Mean ? total_weight.item<double>() : 1;
  return backward(problem, grad_output.contiguous(), max.contiguous(), log_sum.contiguous(), divisor);
}

struct Node : torch::autograd::Node {
  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    const Tensor unpacked = weight.unpack();
    return {handle<Backward>().call(grads[0], self.unpack(), target.unpack(),
                                    unpacked.defined() ? std::optional<Tensor>(unpacked) : std::nullopt, reduction,
                                    ignore_index, smoothing, max.unpack(), log_sum.unpack(), total_weight.unpack())};
  }
  void release_variables() override {
    for (auto* saved : {&self, &target, &weight, &max, &log_sum, &total_weight}) saved->reset_data();
  }
  std::string name() const override { return "TorchextCrossEntropyBackward"; }

  torch::autograd::SavedVariable self, target, weight, max, log_sum, total_weight;
  int64_t reduction = 0;
  c10::SymInt ignore_index;
  double smoothing = 0;
};

Tensor autograd(c10::DispatchKeySet keys, const Tensor& self, const Tensor& target, const std::optional<Tensor>& weight,
                int64_t reduction, c10::SymInt ignore_index, double smoothing) {
  const Tensor weights = tensor_of(weight);
  const bool graph = needs_graph(self);
  if (belongs_to_aten<false>(self, target) || (weights.defined() && has_tangent(weights)) ||
      is_beyond_input(target, weights)) {
    return Aten::call(self, target, weight, reduction, std::move(ignore_index), smoothing);
  }
  // Sizes of traced tensors may be symbols, which must not be compared here.
  const bool traced = is_traced(self) || is_traced(target) || c10::impl::dispatch_mode_enabled();
  if (!graph && !traced) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, target, weight, reduction,
                                     std::move(ignore_index), smoothing);
  }
  Decision decision = Decision::taken;
  if (!traced) decision = decide(self, target, weights, reduction, smoothing);
  else if (!takes_class_indices(self, target, weights) || (smoothing > 0 && self.dim() > 2))
    decision = Decision::arguments;
  if (decision != Decision::taken) {
    if (!traced) point().count(decision);
    return Aten::call(self, target, weight, reduction, std::move(ignore_index), smoothing);
  }
  const auto [loss, max, log_sum, total_weight] = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Forward>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, target, weight, reduction,
                                        ignore_index, smoothing);
  }();
  if (!graph) return loss;
  auto node = new_node<Node>();
  node->set_next_edges(torch::autograd::collect_next_edges(self));
  using torch::autograd::SavedVariable;
  node->self = SavedVariable(self, false);
  node->target = SavedVariable(target, false);
  node->weight = SavedVariable(weights, false);
  node->max = SavedVariable(max, false);
  node->log_sum = SavedVariable(log_sum, false);
  node->total_weight = SavedVariable(total_weight, false);
  node->reduction = reduction;
  node->ignore_index = std::move(ignore_index);
  node->smoothing = smoothing;
  torch::autograd::set_history(loss, node);
  return loss;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &cpu);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &autograd);
  implement_autocast_to_float32<Aten>(library);
  define<Forward>(library);
  implement<Forward>(library, c10::DispatchKey::CPU, &forward_cpu);
  implement_pass_through<Forward, false>(library);
  define<Backward>(library);
  implement<Backward>(library, c10::DispatchKey::CPU, &backward_cpu);
  implement_pass_through<Backward, false>(library);
}

}  // namespace rusttorch
