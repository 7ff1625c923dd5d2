// Sums of rows and of columns, in the order of summation.h: a row and a column of the same values give the same bits.
// Included by reduce.h.
#pragma once
#include "summation.h"

namespace rusttorch::RUSTTORCH_ISA {

// What is added: x, or (x - centre)^2 with a centre per sum.
template <class V>
struct Plain {
  RUSTTORCH_INLINE V operator()(V x, V) const { return x; }
};
template <class V>
struct SquaredDeviation {
  RUSTTORCH_INLINE V operator()(V x, V centre) const {
    const V deviation = x - centre;
    return deviation * deviation;
  }
};

template <class T, class Term>
struct RowSource {
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
  using V = Vec<C>;
  C lanes[kSumLanes<C>];
  for (int p = 0; p < kSumLanes<C>; p += V::lanes) {
    V groups[used];
    for (int g = 0; g < used; ++g) {
      const int64_t first = g * kSumLanes<C> + p, left = n - first;
      groups[g] = g < used - 1 || left >= V::lanes ? source.whole(first)
                  : left > 0                       ? source.part(first, left)
                                                   : V(C(0));
    }
    V sum = groups[0];
    if constexpr (used == 2) sum = groups[0] + groups[1];
    if constexpr (used == 3) sum = (groups[0] + groups[2]) + groups[1];
    if constexpr (used == 4) sum = (groups[0] + groups[2]) + (groups[1] + groups[3]);
    sum.store(lanes + p);
  }
  return 0.0 + add_lanes(lanes);  // as the sum of one block: no -0
}
template <class C, class Source>
RUSTTORCH_INLINE double sum_of_row(const Source& source, int64_t n) {
  if (n <= kSumLanes<C>) return sum_of_short_row<C, 1>(source, n);
  if (n <= 2 * kSumLanes<C>) return sum_of_short_row<C, 2>(source, n);
  if (n <= 3 * kSumLanes<C>) return sum_of_short_row<C, 3>(source, n);
  if (n <= 4 * kSumLanes<C>) return sum_of_short_row<C, 4>(source, n);
  return ordered_sum<C>(source, n);
}

// out[rows], in [rows][size].
template <class T>
void sum_rows(double* out, const void* in, int64_t rows, int64_t size) {
  using C = Compute<T>;
  for (int64_t row = 0; row < rows; ++row) {
    out[row] = sum_of_row<C>(RowSource<T, Plain<Vec<C>>>{static_cast<const T*>(in) + row * size, Vec<C>(C(0))}, size);
  }
}

// The sum of (x - mean)^2 over n elements. The mean is rounded to the type of the deviations, which adds n times the
// square of that error to the sum: it is taken off again.
template <class T>
double sum_of_squares(const void* in, int64_t n, double mean) {
  using C = Compute<T>;
  const C centre = C(mean);
  const double error = mean - double(centre);
  const double sum =
      sum_of_row<C>(RowSource<T, SquaredDeviation<Vec<C>>>{static_cast<const T*>(in), Vec<C>(centre)}, n);
  return sum - double(n) * error * error;
}
// out[rows], in [rows][size]: the sums of squared deviations from each row's mean.
template <class T>
void deviation_rows(double* out, const void* in, int64_t rows, int64_t size) {
  for (int64_t row = 0; row < rows; ++row) {
    const T* const from = static_cast<const T*>(in) + row * size;
    double sum;
    sum_rows<T>(&sum, from, 1, size);
    out[row] = sum_of_squares<T>(from, size, sum / double(size));
  }
}

// Columns go in strips, whose lanes wait on the stack: [16][kSumStrip] float.
inline constexpr int kSumStrip = 256;
template <class C>
struct StripState {
  alignas(64) C lanes[kSumLanes<C>][kSumStrip];
  alignas(64) double halves[kSumLanes<C> / 2][kSumStrip];
  alignas(64) double piece[kSumStrip];
  alignas(64) C centre[kSumStrip];
};

// The groups of one lane: rows first, first + 16, ... of [count][stride], `used` of them within `count`. Columns that do
// not fill a vector are the last vector's, moved back to end with the strip; fewer than one make a partial one.
template <class T, int used, class Term>
RUSTTORCH_INLINE void add_groups_of_lane(Compute<T>* lane, const T* in, int64_t stride, const Compute<T>* centre,
                                         int64_t columns) {
  using C = Compute<T>;
  using V = Vec<C>;
  const bool partial = columns < V::lanes;
  const int64_t step = kSumLanes<C> * stride;
  for (int64_t c = 0; c < columns; c += V::lanes) {
    const int64_t at = partial || c + V::lanes <= columns ? c : columns - V::lanes;
    V groups[used];
    const V middle = partial ? V::load(centre + at, columns) : V::load(centre + at);
    for (int g = 0; g < used; ++g) {
      const T* const from = in + g * step + at;
      groups[g] = Term()(partial ? V::load(from, columns) : V::load(from), middle);
    }
    V sum = groups[0];
    if constexpr (used == 2) sum = groups[0] + groups[1];
    if constexpr (used == 3) sum = (groups[0] + groups[2]) + groups[1];
    if constexpr (used == 4) sum = (groups[0] + groups[2]) + (groups[1] + groups[3]);
    if constexpr (used == 5) sum = ((groups[0] + groups[4]) + groups[2]) + (groups[1] + groups[3]);
    if constexpr (used == 6) sum = ((groups[0] + groups[4]) + groups[2]) + ((groups[1] + groups[5]) + groups[3]);
    if constexpr (used == 7) {
      sum = ((groups[0] + groups[4]) + (groups[2] + groups[6])) + ((groups[1] + groups[5]) + groups[3]);
    }
    if constexpr (used == 8) sum = add_groups(groups);
    if (partial) sum.store(lane + at, columns);
    else sum.store(lane + at);
  }
}
template <class T, class Term>
RUSTTORCH_INLINE void add_rows_of_lane(int used, Compute<T>* lane, const T* in, int64_t stride,
                                       const Compute<T>* centre, int64_t columns) {
  switch (used) {
    case 1: return add_groups_of_lane<T, 1, Term>(lane, in, stride, centre, columns);
    case 2: return add_groups_of_lane<T, 2, Term>(lane, in, stride, centre, columns);
    case 3: return add_groups_of_lane<T, 3, Term>(lane, in, stride, centre, columns);
    case 4: return add_groups_of_lane<T, 4, Term>(lane, in, stride, centre, columns);
    case 5: return add_groups_of_lane<T, 5, Term>(lane, in, stride, centre, columns);
    case 6: return add_groups_of_lane<T, 6, Term>(lane, in, stride, centre, columns);
    case 7: return add_groups_of_lane<T, 7, Term>(lane, in, stride, centre, columns);
    default: return add_groups_of_lane<T, 8, Term>(lane, in, stride, centre, columns);
  }
}

// Adds the columns of one block of `rows` rows, at most kSumBlock, to state.piece.
template <class T, class Term>
RUSTTORCH_INLINE void add_block_of_columns(StripState<Compute<T>>& state, const T* in, int64_t rows, int64_t columns,
                                           int64_t stride) {
  using C = Compute<T>;
  constexpr int lanes = kSumLanes<C>, half = lanes / 2;
  const int used = rows < lanes ? int(rows) : lanes;  // lanes with elements
  for (int k = 0; k < used; ++k) {
    const int groups = int((rows - k + lanes - 1) / lanes);
    add_rows_of_lane<T, Term>(groups, state.lanes[k], in + k * stride, stride, state.centre, columns);
  }
  const int halves = used < half ? used : half;
  for (int k = 0; k < halves; ++k) {
    if (k + half < used) {
      for (int64_t c = 0; c < columns; ++c) {
        state.halves[k][c] = double(state.lanes[k][c]) + double(state.lanes[k + half][c]);
      }
    } else {
      for (int64_t c = 0; c < columns; ++c) state.halves[k][c] = double(state.lanes[k][c]);
    }
  }
  for (int step = half / 2; step > 0; step /= 2) {
    for (int k = 0; k < step && k + step < halves; ++k) {
      for (int64_t c = 0; c < columns; ++c) state.halves[k][c] = state.halves[k][c] + state.halves[k + step][c];
    }
  }
  for (int64_t c = 0; c < columns; ++c) state.piece[c] = state.piece[c] + state.halves[0][c];
}

// out[columns] = the sums down in[size][stride]; at most kSumStrip columns.
template <class T, class Term>
RUSTTORCH_INLINE void sum_strip(double* out, StripState<Compute<T>>& state, const T* in, int64_t size, int64_t columns,
                                int64_t stride) {
  using C = Compute<T>;
  for (int64_t c = 0; c < columns; ++c) out[c] = 0;
  for (int64_t start = 0; start < size; start += kSumPiece<C>) {
    const int64_t end = start + kSumPiece<C> < size ? start + kSumPiece<C> : size;
    for (int64_t c = 0; c < columns; ++c) state.piece[c] = 0;
    for (int64_t row = start; row < end; row += kSumBlock<C>) {
      const int64_t rows = row + kSumBlock<C> < end ? kSumBlock<C> : end - row;
      add_block_of_columns<T, Term>(state, in + row * stride, rows, columns, stride);
    }
    for (int64_t c = 0; c < columns; ++c) out[c] = out[c] + state.piece[c];
  }
}

// out[columns], in [size][stride].
template <class T>
void sum_columns(double* out, const void* in, int64_t size, int64_t columns, int64_t stride) {
  using C = Compute<T>;
  StripState<C> state;
  for (int c = 0; c < kSumStrip; ++c) state.centre[c] = 0;
  for (int64_t first = 0; first < columns; first += kSumStrip) {
    const int64_t width = first + kSumStrip < columns ? kSumStrip : columns - first;
    sum_strip<T, Plain<Vec<C>>>(out + first, state, static_cast<const T*>(in) + first, size, width, stride);
  }
}
// out[columns]: the sums of squared deviations from each column's mean; see sum_of_squares.
template <class T>
void deviation_columns(double* out, const void* in, int64_t size, int64_t columns, int64_t stride) {
  using C = Compute<T>;
  StripState<C> state;
  double mean[kSumStrip];
  for (int64_t first = 0; first < columns; first += kSumStrip) {
    const int64_t width = first + kSumStrip < columns ? kSumStrip : columns - first;
    const T* const from = static_cast<const T*>(in) + first;
    for (int c = 0; c < kSumStrip; ++c) state.centre[c] = 0;
    sum_strip<T, Plain<Vec<C>>>(mean, state, from, size, width, stride);
    for (int64_t c = 0; c < width; ++c) {
      mean[c] = mean[c] / double(size);
      state.centre[c] = C(mean[c]);
    }
    sum_strip<T, SquaredDeviation<Vec<C>>>(out + first, state, from, size, width, stride);
    for (int64_t c = 0; c < width; ++c) {
      const double error = mean[c] - double(state.centre[c]);
      out[first + c] = out[first + c] - double(size) * error * error;
    }
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
