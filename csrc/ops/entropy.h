// Cross entropy and negative log likelihood: internal operators, in the form of ATen's structs, and what their files
// share. The public ones are ATen's cross_entropy_loss and nll_loss_nd.
#pragma once
#include <ATen/core/Reduction.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/nll_loss_forward_ops.h>

#include <ATen/ops/nll_loss_nd_ops.h>
#include <c10/core/GradMode.h>
#include <c10/util/SmallVector.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <tuple>

#include "strips.h"

namespace rusttorch {

namespace ops {
// Class indices only. max and log_sum add up to the logsumexp of each row, in float for bfloat16 and float16;
// total_weight (float64) is what reduction="mean" divides by.
struct _cross_entropy_forward {
  using schema = std::tuple<Tensor, Tensor, Tensor, Tensor>(const Tensor&, const Tensor&, const std::optional<Tensor>&,
                                                            int64_t, c10::SymInt, double);
  static constexpr const char* name = "rusttorch::_cross_entropy_forward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_cross_entropy_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index, "
      "float label_smoothing) -> (Tensor loss, Tensor max, Tensor log_sum, Tensor total_weight)";
  static std::tuple<Tensor, Tensor, Tensor, Tensor> call(const Tensor& self, const Tensor& target,
                                                         const std::optional<Tensor>& weight, int64_t reduction,
                                                         c10::SymInt ignore_index, double label_smoothing);
};
struct _cross_entropy_backward {
  using schema = Tensor(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&, int64_t, c10::SymInt,
                        double, const Tensor&, const Tensor&, const Tensor&);
  static constexpr const char* name = "rusttorch::_cross_entropy_backward";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "_cross_entropy_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, "
      "SymInt ignore_index, float label_smoothing, Tensor max, Tensor log_sum, Tensor total_weight) -> Tensor";
  static Tensor call(const Tensor& grad_output, const Tensor& self, const Tensor& target,
                     const std::optional<Tensor>& weight, int64_t reduction, c10::SymInt ignore_index,
                     double label_smoothing, const Tensor& max, const Tensor& log_sum, const Tensor& total_weight);
};
// ATen's nll_loss_forward under a name that promises no out=.
struct _nll_loss_forward : at::_ops::nll_loss_forward {
  static constexpr const char* name = "rusttorch::_nll_loss_forward";
  static constexpr const char* schema_str =
      "_nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> "
      "(Tensor output, Tensor total_weight)";
};
}  // namespace ops

inline Tensor tensor_of(const std::optional<Tensor>& optional) { return optional ? *optional : Tensor(); }

// What can be told without a size: dtypes and numbers of dimensions.
inline bool takes_class_indices(const Tensor& self, const Tensor& target, const Tensor& weight) {
  return is_floating_index(dtype_index(self.scalar_type())) && target.scalar_type() == at::kLong && self.dim() >= 1 &&
         target.dim() == (self.dim() == 1 ? 0 : self.dim() - 1) &&
         (!weight.defined() || (weight.scalar_type() == self.scalar_type() && weight.dim() == 1));
}
inline int64_t class_dim(const Tensor& self) { return self.dim() == 1 ? 0 : 1; }

// Why ATen has to run, or `taken`: it refuses what does not fit together, in its words.
Decision decide_entropy(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction);

// A gradient reaches a target or a weight, or a tangent any of them: ATen's formulas.
inline bool is_beyond_input(const Tensor& target, const Tensor& weight) {
  return at::GradMode::is_enabled() && (target.requires_grad() || (weight.defined() && weight.requires_grad()));
}

// [outer][inner] positions of a contiguous tensor seen as [outer][size][inner], in units that one thread works on. They
// depend on the shape alone, and so do sums made unit by unit.
struct Units {
  static constexpr int64_t kMost = 512;  // positions
  Shape shape;
  int64_t width, in_row, count;

  explicit Units(const Shape& shape_) : shape(shape_) {
    const bool rows = shape.inner == 1;
    const int64_t whole = rows ? shape.outer : shape.inner;
    width = rows ? std::clamp<int64_t>(32768 / shape.size, 1, kMost) : kMost;
    in_row = (whole + width - 1) / width;
    count = rows ? in_row : in_row * shape.outer;
  }
  struct Unit {
    int64_t first, count;   // positions, counted as elements of the target
    int64_t offset;         // of the first position's class 0 in the input
    int64_t step, classes;  // from a position to the next, from a class to the next
  };
  Unit unit(int64_t index) const {
    if (shape.inner == 1) {
      const int64_t first = index * width;
      return {first, std::min(width, shape.outer - first), first * shape.size, shape.size, 1};
    }
    const int64_t outer = index / in_row, column = index % in_row * width;
    return {outer * shape.inner + column, std::min(width, shape.inner - column),
            outer * shape.size * shape.inner + column, 1, shape.inner};
  }
};

inline bool any_out_of_bounds(const int64_t* target, int64_t n, int64_t ignore_index, int64_t classes) {
  bool found = false;
  for (int64_t k = 0; k < n; ++k) {
    found |= (target[k] != ignore_index) & (static_cast<uint64_t>(target[k]) >= static_cast<uint64_t>(classes));
  }
  return found;
}
// Raises torch's IndexError for the first target that is out of bounds.
void refuse_targets(const int64_t* target, int64_t n, int64_t ignore_index, int64_t classes);

// Losses and weights of all units, added in their order.
struct LossSums {
  explicit LossSums(int64_t units) : sums(2 * units) {}
  c10::SmallVector<double, 128> sums;
  std::atomic<bool> out_of_bounds{false};
  void put(int64_t unit, double loss, double weight) {
    sums[2 * unit] = loss;
    sums[2 * unit + 1] = weight;
  }
  double total(int which) const {
    double total = 0;
    for (size_t k = which; k < sums.size(); k += 2) total += sums[k];
    return total;
  }
};

// Calls body(T{}, C{}) with the storage and the compute type of a dtype of ours.
template <class Body>
void with_type(at::ScalarType type, const Body& body) {
  switch (type) {
    case at::kFloat: return body(float(), float());
    case at::kDouble: return body(double(), double());
    case at::kBFloat16: return body(c10::BFloat16(), float());
    default: return body(c10::Half(), float());
  }
}
inline at::ScalarType compute_type(at::ScalarType type) { return type == at::kDouble ? at::kDouble : at::kFloat; }

}  // namespace rusttorch
