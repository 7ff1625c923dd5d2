// Products of matrices on all threads: which path a product takes.
#pragma once
#include "common.h"
#include "gemm_work.h"

namespace rusttorch {

// Runs one product, on as many threads as pay. All sizes are positive.
void run_gemm(const GemmProblem& problem, int dtype);
// `count` of them; the operands of the next are a_step, b_step and c_step elements further on.
void run_gemm_batch(const GemmProblem& first, int64_t count, int64_t a_step, int64_t b_step, int64_t c_step, int dtype);

}  // namespace rusttorch
