// Variances that sums of squares in float32 could not give: of values that are all but equal, or whose squares leave its
// range. They are computed again in double, as ATen computes all of them.
#pragma once
#include <algorithm>
#include <cmath>

#include "reduction.h"

namespace rusttorch {

// Nanoseconds per element that is computed again, on one core.
inline constexpr double kRepairCost = 1;
// Columns that are computed together: four cache lines of float32.
inline constexpr int64_t kRepairStrip = 64;

// Not finite: squares overflowed, or a NaN is to be one. A root below 1e-15: its float32 squares may have vanished.
inline bool needs_repair(double result, bool root) { return !std::isfinite(result) || (root && result < 1e-15); }

// Element k of a column goes to lane k mod 8, and the lanes are added by halves: the same for rows and columns.
struct RepairSums {
  static constexpr int kLanes = 8;
  double lane[kLanes][kRepairStrip] = {};
  double total(int64_t column) const {
    double sums[kLanes];
    for (int k = 0; k < kLanes; ++k) sums[k] = lane[k][column];
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int k = 0; k < half; ++k) sums[k] += sums[k + half];
    }
    return sums[0];
  }
};

// The sums of squared deviations of `columns` columns of in[size][stride].
template <class T>
void squares_in_double(double* squares, const T* in, int64_t size, int64_t stride, int64_t columns) {
  RepairSums plain, squared;
  double mean[kRepairStrip];
  for (int64_t k = 0; k < size; ++k) {
    double* const lane = plain.lane[k % RepairSums::kLanes];
    for (int64_t c = 0; c < columns; ++c) lane[c] += static_cast<double>(in[k * stride + c]);
  }
  for (int64_t c = 0; c < columns; ++c) mean[c] = plain.total(c) / static_cast<double>(size);
  for (int64_t k = 0; k < size; ++k) {
    double* const lane = squared.lane[k % RepairSums::kLanes];
    for (int64_t c = 0; c < columns; ++c) {
      const double deviation = static_cast<double>(in[k * stride + c]) - mean[c];
      lane[c] += deviation * deviation;
    }
  }
  for (int64_t c = 0; c < columns; ++c) squares[c] = squared.total(c);
}

// finish(index, sum of squared deviations) for each result of `shape` that needs it; T: of input and results.
template <class T, class Finish>
void repair_deviations(const ReductionShape& shape, const T* results, bool root, const Finish& finish) {
  const T* const in = static_cast<const T*>(shape.input.const_data_ptr());
  const int64_t size = shape.size, inner = shape.inner;
  const int64_t strips = (inner + kRepairStrip - 1) / kRepairStrip;
  const double cost = kRepairCost * static_cast<double>(size * std::min(inner, kRepairStrip));
  const auto is_bad = [&](T result) { return needs_repair(static_cast<double>(result), root); };
  if (std::none_of(results, results + shape.outer * inner, is_bad)) return;
  for_each_range(shape.outer * strips, cost, [&](int64_t begin, int64_t end) {
    double squares[kRepairStrip];
    for (int64_t strip = begin; strip < end; ++strip) {
      const int64_t outer = strip / strips, column = strip % strips * kRepairStrip;
      const int64_t columns = std::min(kRepairStrip, inner - column), first = outer * inner + column;
      if (std::none_of(results + first, results + first + columns, is_bad)) continue;
      squares_in_double(squares, in + outer * size * inner + column, size, inner, columns);
      for (int64_t c = 0; c < columns; ++c) {
        if (is_bad(results[first + c])) finish(first + c, squares[c]);
      }
    }
  });
}

}  // namespace rusttorch
