// Sums of rows, in the order of summation.h. Included by reduce.h; columns: reduce_sum_columns.h.
#pragma once
#include "summation.h"

namespace rusttorch::RUSTTORCH_ISA {

// What is added: x, or (x - centre)^2 with a centre per sum.
template <class V>
struct Plain {
  static constexpr bool has_centre = false;
  RUSTTORCH_INLINE V operator()(V x, V) const { return x; }
};
template <class V>
struct SquaredDeviation {
  static constexpr bool has_centre = true;
  RUSTTORCH_INLINE V operator()(V x, V centre) const {
    const V deviation = x - centre;
    return deviation * deviation;
  }
};

template <class T, class Term>
struct RowSource {
  static constexpr bool has_short_terms = true;  // that take few registers
  using V = Vec<Compute<T>>;
  const T* in;
  V centre;
  RUSTTORCH_INLINE V whole(int64_t i) const { return Term()(V::load(in + i), centre); }
  RUSTTORCH_INLINE V part(int64_t i, int64_t n) const {
    return select(first_lanes<Compute<T>>(n), Term()(V::load(in + i, n), centre), V(0));
  }
};

// Rows of at most one block, of which only `used` groups exist: the same additions less those of zeros.
template <class C, int used, class Source>
RUSTTORCH_INLINE double sum_of_short_row(const Source& source, int64_t n) {
  return 0.0 + reduce_add(lanes_of_block<C, used, used - 1>(source, 0, n));  // as the sum of one block: no -0
}
template <class C, class Source>
RUSTTORCH_INLINE double sum_of_row(const Source& source, int64_t n) {
  if (n <= kSumLanes<C>) return sum_of_short_row<C, 1>(source, n);
  if (n <= 2 * kSumLanes<C>) return sum_of_short_row<C, 2>(source, n);
  if (n <= 3 * kSumLanes<C>) return sum_of_short_row<C, 3>(source, n);
  if (n <= 4 * kSumLanes<C>) return sum_of_short_row<C, 4>(source, n);
  return ordered_sum<C>(source, n);
}

// Rows of `used` groups, as many at once as a Vec<double> has lanes.
template <class T, int used>
void sum_short_rows(double* out, const T* in, int64_t rows, int64_t size) {
  using C = Compute<T>;
  using D = Vec<double>;
  const RowSource<T, Plain<Vec<C>>> source{in, Vec<C>(C(0))};
  int64_t row = 0;
  for (; row + D::lanes <= rows; row += D::lanes) {
    D lanes[D::lanes];
#pragma GCC unroll 8
    for (int k = 0; k < D::lanes; ++k)
      lanes[k] = lanes_of_block<C, used, used - 1>(source, (row + k) * size, (row + k + 1) * size);
    (D(0.0) + reduce_add_rows(lanes)).store(out + row);  // as the sum of one block: no -0
  }
  for (; row < rows; ++row) {
    out[row] = 0.0 + reduce_add(lanes_of_block<C, used, used - 1>(source, row * size, (row + 1) * size));
  }
}

// out[rows], in [rows][size].
template <class T>
void sum_rows(double* out, const void* in, int64_t rows, int64_t size, bool from_memory) {
  using C = Compute<T>;
  using Source = RowSource<T, Plain<Vec<C>>>;
  const T* const from = static_cast<const T*>(in);
  switch ((size - 1) / kSumLanes<C>) {
    case 0: return sum_short_rows<T, 1>(out, from, rows, size);
    case 1: return sum_short_rows<T, 2>(out, from, rows, size);
    case 2: return sum_short_rows<T, 3>(out, from, rows, size);
    case 3: return sum_short_rows<T, 4>(out, from, rows, size);
    case 4: return sum_short_rows<T, 5>(out, from, rows, size);
    case 5: return sum_short_rows<T, 6>(out, from, rows, size);
    case 6: return sum_short_rows<T, 7>(out, from, rows, size);
    case 7: return sum_short_rows<T, 8>(out, from, rows, size);
    default: break;
  }
  sums_of_rows<C>(Source{from, Vec<C>(C(0))}, rows, size, from_memory, out);
}

// The sum of (x - centre)^2 over n elements; centre is the mean, rounded to the type of the deviations.
template <class T>
double squares_row(const void* in, int64_t n, double mean) {
  using C = Compute<T>;
  return sum_of_row<C>(RowSource<T, SquaredDeviation<Vec<C>>>{static_cast<const T*>(in), Vec<C>(C(mean))}, n);
}
// out[rows], in [rows][size]: the sums of squared deviations from each row's mean.
template <class T>
void deviation_rows(double* out, const void* in, int64_t rows, int64_t size) {
  for (int64_t row = 0; row < rows; ++row) {
    const T* const from = static_cast<const T*>(in) + row * size;
    double sum;
    sum_rows<T>(&sum, from, 1, size, false);
    const double mean = sum / double(size);
    out[row] = squares_about<Compute<T>>(mean, squares_row<T>(from, size, mean), size);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
