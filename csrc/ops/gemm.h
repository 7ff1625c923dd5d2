// Products of matrices on all threads: which path a product takes.
#pragma once
#include "common.h"
#include "gemm_swapped.h"
#include "gemm_tasks.h"

namespace rusttorch {

// The dtypes of our products as rows of KernelTable's gemm kernels; -1 for others.
inline int gemm_index(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return kFloat32;
    case at::kDouble: return kFloat64;
    case at::kInt: return kGemmInt32;
    case at::kLong: return kGemmInt64;
    default: return -1;
  }
}

// `dtype` is a gemm_index. Runs one product, on as many threads as pay. All sizes are positive.
void run_gemm(const GemmProblem& problem, int dtype);
// `count` of them; the operands of the next are a_step, b_step and c_step elements further on.
void run_gemm_batch(const GemmProblem& first, int64_t count, int64_t a_step, int64_t b_step, int64_t c_step, int dtype);

}  // namespace rusttorch
