// Normalisation of rows. One row per kernel: X(name, Norm).
//
//   layer_norm   y = (x - mean) rstd w + b   rstd = 1 / sqrt(mean((x - mean)^2) + eps)
//   rms_norm     y = x rstd w                rstd = 1 / sqrt(mean(x^2) + eps)
//
// Gradients, with g = dy w and n = (x - mean) rstd (rms_norm: mean = 0):
//   dx = rstd (g - mean(g) - n mean(g n))    (rms_norm: without mean(g))
//   dw = sum over rows of dy n               db = sum over rows of dy
//
// Statistics take two passes over a row in the first-level cache. Sums run in the order of `sum_of_row_steps`, which is
// the same on every ISA. bfloat16 and float16 are computed in float32 and rounded once, at the store.
#pragma once

#define RUSTTORCH_NORMALIZATIONS(X) \
  X(layer_norm, LayerNorm)          \
  X(rms_norm, RmsNorm)

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "normalization_backward.h"
#include "normalization_forward.h"
#endif
