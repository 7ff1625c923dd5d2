// Runs a kernel row over tensors of any layout. Dense tensors walk their storage; TensorIterator handles the rest, so that
// strides, promotion, overlap and resize rules are PyTorch's own.
#pragma once
#include <ATen/TensorIterator.h>

#include "results.h"

namespace rusttorch {

// A row of the active table, what it computes with, and what an element costs on one core.
template <class Kernel>
struct Plan {
  const Kernel* row = nullptr;  // null: not ours, ATen decides (and raises where the arguments are wrong)
  Parameters parameters;
  double nanoseconds = 0.2;
  bool promotes_integers = false;       // integer inputs give a float result, as for sigmoid
  bool saved_first = false;             // backward: ATen's operator iterates over (saved, grad_output)
  bool promotes_booleans = true;        // with `promotes_integers`: boolean ones, too
  const Kernel* integer_row = nullptr;  // entries for int32 and int64, where torch has them
};
using UnaryPlan = Plan<UnaryKernel>;
using BackwardPlan = Plan<BackwardKernel>;

// The result, or an undefined tensor when the call is not ours. Counts the decision.
Tensor unary(DecisionPoint& point, const UnaryPlan& plan, const Tensor& self);
// Writes `out` (which may be `self`); false when the call is not ours and nothing was touched.
bool unary_out(DecisionPoint& point, const UnaryPlan& plan, const Tensor& self, const Tensor& out);
// grad_input, or an undefined tensor when the call is not ours.
Tensor backward(DecisionPoint& point, const BackwardPlan& plan, const Tensor& grad_output, const Tensor& saved);

// Runs `iterator` with a binary kernel of its common dtype: output 0, inputs 1 and 2, any strides.
void run_binary(at::TensorIteratorBase& iterator, BinaryKernel kernel, const Parameters& parameters,
                double nanoseconds);
// The same with one input and a number in the compute type, as for kScalarStep (kernels/types.h).
void run_with_scalar(at::TensorIteratorBase& iterator, BinaryKernel kernel, const void* number,
                     const Parameters& parameters, double nanoseconds);
// Inputs in the order of addcmul: the summand, then the two factors.
void run_ternary(at::TensorIteratorBase& iterator, TernaryKernel kernel, double nanoseconds);

}  // namespace rusttorch
