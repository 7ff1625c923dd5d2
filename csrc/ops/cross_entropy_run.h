// The loops of cross entropy with class indices. Forward reads the input once and keeps two numbers a row; backward
// reads it once more and writes the gradient, so that neither probabilities nor their logarithms are ever stored. Where a
// gradient is sure to be asked for, forward makes it at once: docs/decisions/0008-gradient-in-forward.md.
#pragma once
#include "entropy.h"

namespace rusttorch {

// One call's arguments, contiguous.
struct EntropyProblem {
  Tensor input, target, weight;  // weight in the compute type
  int64_t reduction, ignore_index;
  double smoothing, weight_sum;  // the sum of all weights
  Units units;

  EntropyProblem(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction,
                 int64_t ignore_index, double smoothing);
  const int64_t* targets() const { return target.const_data_ptr<int64_t>(); }
  int dtype() const { return dtype_index(input.scalar_type()); }
  double per_class() const { return smoothing / static_cast<double>(units.shape.size); }
};

// Whether entropy() can make the gradient: rows of float32 or float64, losses that are reduced.
bool makes_gradient(const EntropyProblem& problem);
// loss, max, log_sum and total_weight; without `keeps` the loss alone. `gradient`, if not null, becomes the gradient of
// the input for a grad_output of 1, the same bits as entropy_gradient's.
std::tuple<Tensor, Tensor, Tensor, Tensor> entropy(const EntropyProblem& problem, bool keeps,
                                                   Tensor* gradient = nullptr);
// The gradient of the input. grad_output, max and log_sum are contiguous, divisor is what forward divided by.
Tensor entropy_gradient(const EntropyProblem& problem, const Tensor& grad_output, const Tensor& max,
                        const Tensor& log_sum, double divisor);

// The sum of the losses of contiguous logits [rows][classes]; their gradient times `scale`, if there is one, replaces
// them, row by row within the second-level cache. No operator: linear_cross_entropy calls it with buffers of its own.
double entropy_in_place(const Tensor& logits, const Tensor& target, const std::optional<Tensor>& weight,
                        std::optional<double> scale, int64_t ignore_index, double smoothing);

DecisionPoint& entropy_point();
DecisionPoint& entropy_gradient_point();

}  // namespace rusttorch
