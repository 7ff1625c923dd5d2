// layer_norm and rms_norm over rows: what their operators and overrides of ATen's share.
#pragma once
#include <array>
#include <optional>
#include <tuple>

#include "common.h"

namespace rusttorch {

// The last dimensions of a tensor as rows, and the dtype of weight and bias.
struct NormalizedRows {
  int64_t count = 1, size = 1;
  bool mixed = false;                      // float weights of a reduced precision
  at::ScalarType statistics = at::kFloat;  // dtype of mean and rstd in aten::native_layer_norm
};

// Whether our kernels serve the call; fills in `rows`. Weight and bias may be undefined. What torch refuses is not ours.
Decision decide_normalization(const Tensor& input, at::IntArrayRef normalized_shape, const Tensor& weight,
                              const Tensor& bias, NormalizedRows& rows);

// aten::native_layer_norm: result, mean and rstd with the dtypes and shapes of ATen's; nothing when the call is not ours.
// Counts the decision.
std::optional<std::tuple<Tensor, Tensor, Tensor>> native_layer_norm(DecisionPoint& point, const Tensor& input,
                                                                    at::IntArrayRef normalized_shape,
                                                                    const Tensor& weight, const Tensor& bias,
                                                                    double eps);

// aten::native_layer_norm_backward; mean and rstd may also be float32 for a reduced precision. The gradients that `mask`
// does not ask for are undefined.
std::optional<std::tuple<Tensor, Tensor, Tensor>> native_layer_norm_backward(
    DecisionPoint& point, const Tensor& grad_output, const Tensor& input, at::IntArrayRef normalized_shape,
    const Tensor& mean, const Tensor& rstd, const Tensor& weight, const Tensor& bias, std::array<bool, 3> mask);

// The same without a mean and a bias: _fused_rms_norm, rstd in the compute type, and its backward.
std::optional<std::tuple<Tensor, Tensor>> fused_rms_norm(DecisionPoint& point, const Tensor& input,
                                                         at::IntArrayRef normalized_shape, const Tensor& weight,
                                                         std::optional<double> eps);
std::optional<std::tuple<Tensor, Tensor>> fused_rms_norm_backward(DecisionPoint& point, const Tensor& grad_output,
                                                                  const Tensor& input, at::IntArrayRef normalized_shape,
                                                                  const Tensor& rstd, const Tensor& weight,
                                                                  std::array<bool, 2> mask);

// Result only, for calls without a graph; undefined when the call is not ours.
Tensor layer_norm_result(DecisionPoint& point, const Tensor& input, at::IntArrayRef normalized_shape,
                         const Tensor& weight, const Tensor& bias, double eps);
Tensor rms_norm_result(DecisionPoint& point, const Tensor& input, at::IntArrayRef normalized_shape,
                       const Tensor& weight, std::optional<double> eps);
// Result and statistics in the compute type, which for reduced precisions is wider than ATen's.
struct Normalized {
  Tensor result, mean, rstd;
};
Normalized layer_norm_with_statistics(const Tensor& input, const Tensor& weight, const Tensor& bias, double eps,
                                      const NormalizedRows& rows, size_t normalized_dims);
Normalized rms_norm_with_statistics(const Tensor& input, const Tensor& weight, std::optional<double> eps,
                                    const NormalizedRows& rows, size_t normalized_dims);

}  // namespace rusttorch
