// Variances that sums of squares in float32 could not give: values that are all but equal, or whose squares leave its range.
// They are few, and computed again in double, as ATen computes all of them.
#pragma once
#include <cmath>

#include "reduction.h"

namespace rusttorch {

// Nanoseconds per element that is computed again, on one core; a result that is only looked at costs less than one.
inline constexpr double kRepairCost = 3;

// Of float32 deviations below 1e-15, squares are denormal or 0; a variance as small is denormal itself.
inline bool is_accurate(double result, bool root) { return std::isfinite(result) && !(root && result < 1e-15); }

// finish(index, sum of squared deviations) for each result of `shape` that is not accurate; T: of input and results.
template <class T, class Finish>
void repair_deviations(const ReductionShape& shape, const T* results, bool root, const Finish& finish) {
  const T* const in = static_cast<const T*>(shape.input.const_data_ptr());
  const int64_t size = shape.size, inner = shape.inner;
  for_each_range(shape.outer * inner, kRepairCost, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      if (is_accurate(static_cast<double>(results[index]), root)) continue;
      const T* const from = in + index / inner * size * inner + index % inner;
      double sum = 0, squares = 0;
      for (int64_t k = 0; k < size; ++k) sum += static_cast<double>(from[k * inner]);
      const double mean = sum / static_cast<double>(size);
      for (int64_t k = 0; k < size; ++k) {
        const double deviation = static_cast<double>(from[k * inner]) - mean;
        squares += deviation * deviation;
      }
      finish(index, squares);
    }
  });
}

}  // namespace rusttorch
