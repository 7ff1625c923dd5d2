// Runs the kernels of max and min over a reduction's shape.
#pragma once
#include "reduction.h"

namespace rusttorch {

struct ExtremeKernels {
  ExtremeRowsKernel rows;
  ExtremeColumnsKernel columns;
  ExtremeTinyKernel tiny;
  bool smallest;
};
ExtremeKernels extreme_kernels(bool smallest, int dtype);

// values and places: one for each result, either may be null; places, where the reduced dimensions are one step.
void find_extremes(const ReductionShape& shape, bool smallest, void* values, int64_t* places);

}  // namespace rusttorch
