// The kernel table: one function pointer per row and dtype, filled once per ISA by isa_<name>.cpp.
// Torch-free. Everything here is plain data, so any translation unit may include it.
#pragma once
#include <cstdint>

#include "activations.h"
#include "arithmetic.h"
#include "dropout.h"
#include "gemm.h"
#include "logsumexp.h"
#include "losses.h"
#include "mersenne.h"
#include "normalization.h"
#include "reduce.h"
#include "softmax.h"
#include "types.h"

namespace rusttorch {

// out[i] = f(in[i]); out == in is allowed.
using UnaryKernel = void (*)(void* out, const void* in, int64_t n, const Parameters&);
// grad_input[i] = grad_output[i] * f'(saved[i]); `saved` is the input or the result, as the functor says.
using BackwardKernel = void (*)(void* grad_input, const void* grad_output, const void* saved, int64_t n,
                                const Parameters&);
// out[i] = f(a[i * a_step], b[i * b_step]); steps are 0 (broadcast one element), 1, or kScalarStep (types.h);
// out == a or out == b is allowed.
using BinaryKernel = void (*)(void* out, const void* a, const void* b, int64_t n, int64_t a_step, int64_t b_step,
                              const Parameters&);
// out[i] = f(a[i * a_step], b[i * b_step], c[i * c_step]).
using TernaryKernel = void (*)(void* out, const void* a, const void* b, const void* c, int64_t n, int64_t a_step,
                               int64_t b_step, int64_t c_step);
// True when any of b[0, n) is zero.
using AnyZeroKernel = bool (*)(const void* b, int64_t n);
// out, in: [rows][size] contiguous; each row is normalised.
using SoftmaxKernel = void (*)(void* out, const void* in, int64_t rows, int64_t size);
// grad_input, grad_output, output: [rows][size].
using SoftmaxBackwardKernel = void (*)(void* grad_input, const void* grad_output, const void* output, int64_t rows,
                                       int64_t size);
// out, in: [size][stride], of which columns [0, columns) are normalised down the first axis.
using SoftmaxColumnsKernel = void (*)(void* out, const void* in, int64_t size, int64_t columns, int64_t stride);
using SoftmaxColumnsBackwardKernel = void (*)(void* grad_input, const void* grad_output, const void* output,
                                              int64_t size, int64_t columns, int64_t stride);
// in: [rows][size] -> max, log_sum: [rows] in the compute type (float for bfloat16 and float16).
using LogsumexpKernel = void (*)(void* max, void* log_sum, const void* in, int64_t rows, int64_t size);
using LogsumexpKeptKernel = void (*)(void* max, void* log_sum, void* kept, const void* in, int64_t rows, int64_t size);
using LogsumexpColumnsKernel = void (*)(void* max, void* log_sum, const void* in, int64_t size, int64_t columns,
                                        int64_t stride);
// out, in: [rows][size], out == in is allowed; columns as above.
using LogsumexpBackwardKernel = void (*)(void* out, const void* in, int64_t rows, int64_t size, const GradientTerms&);
using LogsumexpColumnsBackwardKernel = void (*)(void* out, const void* in, int64_t size, int64_t columns,
                                                int64_t stride, const GradientTerms&);
using SmoothingKernel = void (*)(double* out, const void* in, const void* max, const void* weight, int64_t rows,
                                 int64_t size);

// out[rows] from in [rows][size]; out[columns] from in [size][stride], of which columns [0, columns). The second form
// has sums of squared deviations from the mean. `from_memory`: the input is not expected in a cache, see kReadStreams.
using SumRowsKernel = void (*)(double* out, const void* in, int64_t rows, int64_t size, bool from_memory);
using DeviationRowsKernel = void (*)(double* out, const void* in, int64_t rows, int64_t size);
using SumColumnsKernel = void (*)(double* out, const void* in, int64_t size, int64_t columns, int64_t stride);
// The sums of (x - mean)^2, the mean being rounded to the type of the deviations: of n elements, and down columns.
using SquaresKernel = double (*)(const void* in, int64_t n, double mean);
using SquaresColumnsKernel = void (*)(double* out, const void* in, int64_t size, int64_t columns, int64_t stride,
                                      const double* mean);
// out[outer][inner] from in [outer][size][inner]; size * inner elements are at most 16 KiB, inner at most 256.
using SumTinyKernel = void (*)(double* out, const void* in, int64_t outer, int64_t size, int64_t inner);
using ExtremeTinyKernel = void (*)(void* values, int64_t* places, const void* in, int64_t outer, int64_t size,
                                   int64_t inner);
// values[rows], places[rows] (or null) from in [rows][size], size > 0; the same down columns, 0 < size < 2^31.
using ExtremeRowsKernel = void (*)(void* values, int64_t* places, const void* in, int64_t rows, int64_t size,
                                   bool from_memory);
using ExtremeColumnsKernel = void (*)(void* values, int64_t* places, const void* in, int64_t size, int64_t columns,
                                      int64_t stride);
// out[i] = the loss of element i; `out` may be an input. False: some element is none that the loss is defined for.
using LossKernel = bool (*)(void* out, const LossInputs&, int64_t n, const Parameters&);
// sums[k] = the sum of those of piece k, kSumPiece of them (summation.h); the last piece may be shorter.
using LossSumKernel = bool (*)(double* sums, const LossInputs&, int64_t n, bool from_memory, const Parameters&);
// grad_input[i] = the slope of element i * grad_output[i]; a null grad_output stands for parameters.c everywhere.
using LossBackwardKernel = void (*)(void* grad_input, const void* grad_output, const LossInputs&, int64_t n,
                                    const Parameters&);

// The gradient of extremes: reduce_equal.h.
using CountEqualKernel = void (*)(int64_t* counts, const void* in, const void* values, int64_t rows, int64_t size,
                                  bool nan_is_equal);
using ShareEqualKernel = void (*)(void* out, const void* in, const void* values, const void* shares, const void* rests,
                                  int64_t rows, int64_t size, bool nan_is_equal);
using CountEqualColumnsKernel = void (*)(void* counts, const void* in, const void* values, int64_t size,
                                         int64_t columns, int64_t stride);
using ShareEqualColumnsKernel = void (*)(void* out, const void* in, const void* values, const void* shares,
                                         const void* rests, int64_t size, int64_t columns, int64_t stride);

// Rows of [rows][size]; normalization_forward.h and normalization_backward.h say what may be null.
using NormalizationKernel = void (*)(void* out, void* mean, void* rstd, const void* in, const void* weight,
                                     const void* bias, int64_t rows, int64_t size, double eps);
using NormalizationBackwardKernel = void (*)(void* grad_input, void* grad_weight, void* grad_bias,
                                             const void* grad_output, const void* in, const void* mean,
                                             const void* rstd, const void* weight, int64_t rows, int64_t size);
// out[i] = in[i] * scale or 0; mask[i] = 1 or 0; `first` elements, a multiple of kDropoutBlock, lie before.
using DropoutKernel = void (*)(void* out, uint8_t* mask, const void* in, int64_t first, int64_t n,
                               const DropoutParameters&);
using DropoutBackwardKernel = void (*)(void* grad_input, const void* grad_output, const uint8_t* mask, int64_t n,
                                       double scale);
// out[i] = 1 or 0; moves the stream on by two words each.
using MersenneBernoulliKernel = void (*)(void* out, MersenneState& state, int64_t n, uint64_t threshold);
// c (+)= a b for one block; see gemm.h.
using GemmBlockKernel = void (*)(const GemmBlock&);
// packed: panels of [k][gemm_width], panel_stride apart, from the elements b[i * k_stride + j * column_stride].
using GemmPackKernel = void (*)(void* packed, int64_t panel_stride, const void* b, int64_t k_stride,
                                int64_t column_stride, int64_t k, int64_t columns);
// to[i * to_stride + j] = from[j * from_stride + i]
using GemmTurnKernel = void (*)(void* to, int64_t to_stride, const void* from, int64_t from_stride, int64_t rows,
                                int64_t columns);
// packed: the tiles of `rows` rows, gemm_rows each at most, from the elements a[i * row_stride + j * k_stride].
using GemmPackRowsKernel = void (*)(void* packed, const void* a, int64_t row_stride, int64_t k_stride, int64_t k,
                                    int64_t rows, int64_t tile_rows);

struct KernelTable {
  const char* name;  // "scalar", "avx2", "avx512", "neon"
  int float_lanes;   // float32 lanes of the Vec this table was compiled with

#define RUSTTORCH_ROW(name, Functor) \
  UnaryKernel name[kFloatingDtypes]; \
  BackwardKernel name##_backward[kFloatingDtypes];
  RUSTTORCH_ACTIVATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW

#define RUSTTORCH_ROW(name, Functor) BinaryKernel name[kDtypes];  // div: floating dtypes only, the others are null
  RUSTTORCH_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
  UnaryKernel relu_integer[kDtypes];  // integer dtypes only: max(x, 0)
  TernaryKernel fused_multiply_add[kDtypes];
  AnyZeroKernel any_zero[kDtypes];  // integer dtypes only

#define RUSTTORCH_ROW(name, Functor)                      \
  SoftmaxKernel name[kFloatingDtypes];                    \
  SoftmaxBackwardKernel name##_backward[kFloatingDtypes]; \
  SoftmaxColumnsKernel name##_columns[kFloatingDtypes];   \
  SoftmaxColumnsBackwardKernel name##_columns_backward[kFloatingDtypes];
  RUSTTORCH_SOFTMAX(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
  LogsumexpKernel logsumexp[kFloatingDtypes];
  LogsumexpColumnsKernel logsumexp_columns[kFloatingDtypes];
  LogsumexpKeptKernel logsumexp_kept[kFloatingDtypes];  // float32 and float64; as gradient_of_kept
  LogsumexpBackwardKernel logsumexp_backward[kFloatingDtypes], gradient_of_kept[kFloatingDtypes];
  LogsumexpColumnsBackwardKernel logsumexp_columns_backward[kFloatingDtypes];
  SmoothingKernel smoothing_sums[kFloatingDtypes];

  SumRowsKernel sum_rows[kFloatingDtypes];
  DeviationRowsKernel deviation_rows[kFloatingDtypes];
  SumColumnsKernel sum_columns[kFloatingDtypes], deviation_columns[kFloatingDtypes];
  SquaresKernel squares_row[kFloatingDtypes];
#define RUSTTORCH_ROW(name, Functor)              \
  ExtremeRowsKernel name##_rows[kFloatingDtypes]; \
  ExtremeColumnsKernel name##_columns[kFloatingDtypes];
  RUSTTORCH_EXTREMES(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW

#define RUSTTORCH_ROW(name, Functor)         \
  LossKernel name[kFloatingDtypes];          \
  LossSumKernel name##_sum[kFloatingDtypes]; \
  LossBackwardKernel name##_backward[kFloatingDtypes];
  RUSTTORCH_LOSSES(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW

  CountEqualKernel count_equal[kFloatingDtypes];  // these four: float32 and float64
  ShareEqualKernel share_equal[kFloatingDtypes];
  CountEqualColumnsKernel count_equal_columns[kFloatingDtypes];
  ShareEqualColumnsKernel share_equal_columns[kFloatingDtypes];

  SquaresColumnsKernel squares_columns[kFloatingDtypes];
  SumTinyKernel sum_tiny[kFloatingDtypes], deviation_tiny[kFloatingDtypes];
#define RUSTTORCH_ROW(name, Functor) ExtremeTinyKernel name##_tiny[kFloatingDtypes];
  RUSTTORCH_EXTREMES(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
// Second index: 0 for weights of the input's dtype, 1 for float weights of reduced precisions (null for the others).
#define RUSTTORCH_ROW(name, Norm)               \
  NormalizationKernel name[kFloatingDtypes][2]; \
  NormalizationBackwardKernel name##_backward[kFloatingDtypes][2];
  RUSTTORCH_NORMALIZATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
  DropoutKernel dropout[kFloatingDtypes];
  DropoutBackwardKernel dropout_backward[kFloatingDtypes];
  MersenneBernoulliKernel mersenne_bernoulli[kFloatingDtypes];
  // Products; see kGemmDtypes.
  GemmBlockKernel gemm_block[kGemmDtypes], gemm_few_rows[kGemmDtypes], gemm_dots[kGemmDtypes];
  GemmPackKernel gemm_pack[kGemmDtypes];
  GemmPackRowsKernel gemm_pack_rows[kGemmDtypes];
  GemmTurnKernel gemm_turn[kGemmDtypes];
  int64_t gemm_width[kGemmDtypes];                          // columns of a panel
  int64_t gemm_rows[kGemmDtypes], gemm_pitch[kGemmDtypes];  // most rows of a tile, and what a packed one takes per k
};

}  // namespace rusttorch
