// log(sum(e^x)) along rows or down columns, and what its gradient and that of cross entropy are made of.
//
//   logsumexp            max and log(sum(e^(x - max))): their sum is the result, and kept apart they lose nothing where
//                        both are large
//   logsumexp_backward   scale e^(x - max - log_sum) - offset w - (peak at the target)
//   smoothing_sums       sum(w (max - x)), in double
//
// logsumexp_kept leaves the exponentials e^(x - max), shifted as in softmax.h, and gradient_of_kept makes of them, bit for
// bit, what logsumexp_backward makes of x where max is finite: rows of float32 and float64, without a second exponential.
//
// -inf only: max = -inf; +inf: max = +inf; NaN: max = NaN; each with log_sum = 0. Exponentials are added up in the
// order of softmax.h, so a matrix and its transpose give the same bits. Error of log_sum: 2.5 last places of
// log_sum + 1; of the exponential: that of softmax.
#pragma once
#include <cstdint>

namespace rusttorch {

// Terms of a gradient, one entry per row (or column) in the compute type; what is null is left out.
struct GradientTerms {
  const void* max;
  const void* log_sum;  // null: 0
  const void* scale;
  const void* offset;
  const void* weight;  // [size]; null: 1
  const void* peak;
  const int64_t* target;  // where the peak is; outside of [0, size): nowhere
};

}  // namespace rusttorch

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "softmax.h"
#include "summation.h"

namespace rusttorch::RUSTTORCH_ISA {

template <class T>
RUSTTORCH_INLINE Compute<T> value_at(const T* p) {
  if constexpr (std::is_same_v<T, Compute<T>>) return *p;
  Compute<T> lanes[Vec<Compute<T>>::lanes];
  Vec<Compute<T>>::load(p, 1).store(lanes);
  return lanes[0];
}

// Of a row without a finite sum: infinite without a NaN, which row_max leaves out.
template <class T>
RUSTTORCH_INLINE void settle_special(Compute<T>* max, Compute<T>* log_sum, const T* in, int64_t size, int64_t step) {
  if (*log_sum == *log_sum) return;
  *log_sum = 0;
  for (int64_t i = 0; i < size; ++i) {
    const Compute<T> value = value_at(in + i * step);
    if (value != value) *max = value;
  }
}

// rows <= lanes: max[rows] and the sums of shifted exponentials sum[lanes] are known.
template <class T>
RUSTTORCH_INLINE void logsumexp_of_batch(Compute<T>* max, Compute<T>* log_sum, const T* in, int64_t rows, int64_t size,
                                         const Compute<T>* sum) {
  using V = Vec<Compute<T>>;
  const V result = LogSoftmax<V>::factor(V::load(sum));
  result.store(log_sum, rows);
  if (!any(is_nan(result))) return;
  for (int64_t row = 0; row < rows; ++row) settle_special(max + row, log_sum + row, in + row * size, size, 1);
}

// The largest element of each lane of a short row, and the sum of each lane's exponentials.
template <class T, int lines>
RUSTTORCH_INLINE Vec<Compute<T>> short_row_largest(const T* in, int64_t size) {
  using Row = ShortRow<T, lines>;
  const Row row(in, size, -std::numeric_limits<Compute<T>>::infinity());
  typename Row::V largest = row.line[0].v[0];
#pragma GCC unroll 16
  for (int i = 1; i < lines * Row::vectors; ++i)
    largest = max_number(row.line[i / Row::vectors].v[i % Row::vectors], largest);
  return largest;
}
template <class T, int lines, bool keep>
RUSTTORCH_INLINE Vec<Compute<T>> short_row_exponentials(const T* in, int64_t size, Vec<Compute<T>> max,
                                                        Compute<T>* kept) {
  using Row = ShortRow<T, lines>;
  using V = typename Row::V;
  const Row row(in, size, -std::numeric_limits<Compute<T>>::infinity());
  V sum[Row::vectors];
#pragma GCC unroll 4
  for (int k = 0; k < Row::vectors; ++k) sum[k] = V(0);
#pragma GCC unroll 4
  for (int i = 0; i < lines; ++i) {
#pragma GCC unroll 4
    for (int k = 0; k < Row::vectors; ++k) {
      const int vector = i * Row::vectors + k;
      if (i == lines - 1 && k > 0 && vector * V::lanes >= size) continue;  // of (8192, 50) one of eight on AVX2
      const V exponential = shifted_exponential(row.line[i].v[k], max);
      if constexpr (keep) exponential.store(kept + vector * V::lanes);
      sum[k] = sum[k] + exponential;
    }
  }
  return add_by_halves(sum);
}

// One row per lane, and several vectors of rows at a time: all maxima, then all sums, then the logarithms, so that the
// reductions across lanes are made together and nothing waits for them. (8192, 50) float32 with both in one loop and a
// reduction for each row: 1.3 times as long on Zen 4.
template <class T, int lines, bool keep>
void logsumexp_short_rows(Compute<T>* max, Compute<T>* log_sum, Compute<T>* kept, const T* in, int64_t rows,
                          int64_t size) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int64_t lanes = V::lanes, block = 4 * lanes;
  V of_row[lanes];
  C sum[block];
  T copy[lines * Line<T>::size];  // stand in for a row that may not be overrun
  C kept_copy[lines * Line<T>::size];
  const int64_t overrun = rows_to_overrun<T>(rows, size);
  for (int64_t k = 0; k < lanes; ++k) of_row[k] = V(C(1));
  for (int64_t first = 0; first < rows; first += block) {
    const int64_t end = first + block < rows ? first + block : rows;
    for (int64_t start = first; start < end; start += lanes) {
      const int64_t count = end - start < lanes ? end - start : lanes;
      for (int64_t k = 0; k < count; ++k) {
        const T* from = in + (start + k) * size;
        if (start + k >= overrun) from = static_cast<const T*>(std::memcpy(copy, from, size_t(size) * sizeof(T)));
        of_row[k] = short_row_largest<T, lines>(from, size);
      }
      reduce_max_number_rows(of_row).store(max + start, count);
    }
    for (int64_t start = first; start < end; start += lanes) {
      const int64_t count = end - start < lanes ? end - start : lanes;
      for (int64_t k = 0; k < count; ++k) {
        const T* from = in + (start + k) * size;
        const bool copied = start + k >= overrun;
        if (copied) from = static_cast<const T*>(std::memcpy(copy, from, size_t(size) * sizeof(T)));
        C* const to = copied ? kept_copy : kept + (keep ? (start + k) * size : 0);
        of_row[k] = short_row_exponentials<T, lines, keep>(from, size, V(max[start + k]), to);
        if (keep && copied) std::memcpy(kept + (start + k) * size, to, size_t(size) * sizeof(C));
      }
      reduce_add_rows(of_row).store(sum + (start - first));
    }
    for (int64_t start = first; start < end; start += lanes) {
      const int64_t count = end - start < lanes ? end - start : lanes;
      logsumexp_of_batch(max + start, log_sum + start, in + start * size, count, size, sum + (start - first));
    }
  }
}

// As many rows at a time as fit the first-level cache together: all maxima, then all sums (softmax_batch says why), and
// meanwhile the next rows are fetched: their maxima would wait for every line. `level`: where to.
template <class T, Cache level, bool keep>
void logsumexp_batches(Compute<T>* max, Compute<T>* log_sum, Compute<T>* kept, const T* in, int64_t rows,
                       int64_t size) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int64_t elements = 4096;
  const int64_t fitting = size < elements ? elements / size : 1, overrun = rows_to_overrun<T>(rows, size);
  const int64_t batch = fitting < V::lanes ? fitting : V::lanes;
  C sum[V::lanes], partial[V::lanes * V::lanes];
  for (int k = 0; k < V::lanes; ++k) sum[k] = 1;
  for (int64_t first = 0; first < rows; first += batch) {
    const int64_t count = first + batch < rows ? batch : rows - first;
    const T* const from = in + first * size;
    for (int64_t row = 0; row < count; ++row) {
      max[first + row] = row_max(from + row * size, size, first + row < overrun);
    }
    for (int64_t row = 0; row < count; ++row) {
      row_sum<T, keep, level>(kept + (keep ? (first + row) * size : 0), from + row * size, size, first + row < overrun,
                              V(max[first + row]), from + (row + count) * size)
          .store(partial + row * V::lanes);
    }
    for (int64_t row = 0; row < count; ++row) sum[row] = reduce_add(V::load(partial + row * V::lanes));
    logsumexp_of_batch(max + first, log_sum + first, from, count, size, sum);
  }
}

template <class T, bool keep>
RUSTTORCH_INLINE void logsumexp_rows_of(Compute<T>* max, Compute<T>* log_sum, Compute<T>* kept, const T* in,
                                        int64_t rows, int64_t size) {
  constexpr int line_size = Line<T>::size;
  if constexpr (Line<T>::vectors <= 4) {
    if (size <= line_size) return logsumexp_short_rows<T, 1, keep>(max, log_sum, kept, in, rows, size);
    if (size <= 2 * line_size) return logsumexp_short_rows<T, 2, keep>(max, log_sum, kept, in, rows, size);
    if (size <= 3 * line_size) return logsumexp_short_rows<T, 3, keep>(max, log_sum, kept, in, rows, size);
    if (size <= 4 * line_size) return logsumexp_short_rows<T, 4, keep>(max, log_sum, kept, in, rows, size);
  }
  // Rows that no second-level cache holds twice would push each other out.
  constexpr int64_t first_level = 8 << 10, second_level = 256 << 10, bytes = int64_t(sizeof(T));
  if (size * bytes <= first_level) return logsumexp_batches<T, Cache::first, keep>(max, log_sum, kept, in, rows, size);
  if (size * bytes <= second_level)
    return logsumexp_batches<T, Cache::second, keep>(max, log_sum, kept, in, rows, size);
  logsumexp_batches<T, Cache::none, keep>(max, log_sum, kept, in, rows, size);
}

// in: [rows][size] -> max, log_sum: [rows] in the compute type.
template <class T>
void logsumexp_rows(void* max, void* log_sum, const void* in, int64_t rows, int64_t size) {
  using C = Compute<T>;
  logsumexp_rows_of<T, false>(static_cast<C*>(max), static_cast<C*>(log_sum), nullptr, static_cast<const T*>(in), rows,
                              size);
}
// kept: [rows][size], not `in`.
template <class T>
void logsumexp_kept(void* max, void* log_sum, void* kept, const void* in, int64_t rows, int64_t size) {
  logsumexp_rows_of<T, true>(static_cast<T*>(max), static_cast<T*>(log_sum), static_cast<T*>(kept),
                             static_cast<const T*>(in), rows, size);
}

template <class T, bool is_partial>
void logsumexp_strip(Compute<T>* max_out, Compute<T>* log_sum_out, const T* in, int64_t size, int64_t stride,
                     Strip<Compute<T>> strip) {
  using C = Compute<T>;
  using V = Vec<C>;
  V max[Strip<C>::most_vectors];
  strip_max<T, is_partial>(max, in, size, stride, strip);
  ColumnSums<C> sums(strip.vectors);
  strip_sums<T, is_partial, false>(sums, in, size, stride, max, strip, nullptr, 0);
  for (int64_t v = 0; v < strip.vectors; ++v) {
    const V log_sum = LogSoftmax<V>::factor(value_of(sums.total[v]));
    store_columns<is_partial>(max_out, strip, v, max[v]);
    store_columns<is_partial>(log_sum_out, strip, v, log_sum);
    if (!any(is_nan(log_sum))) continue;
    const int64_t first = is_partial ? 0 : strip.column(v), count = is_partial ? strip.partial : V::lanes;
    for (int64_t k = first; k < first + count; ++k) settle_special(max_out + k, log_sum_out + k, in + k, size, stride);
  }
}

// in: [size][stride], columns [0, columns) -> max, log_sum: [columns].
template <class T>
void logsumexp_columns(void* max_, void* log_sum_, const void* in_, int64_t size, int64_t columns, int64_t stride) {
  using C = Compute<T>;
  C *const max = static_cast<C*>(max_), *const log_sum = static_cast<C*>(log_sum_);
  const T* const in = static_cast<const T*>(in_);
  if (columns < Vec<C>::lanes) {
    return logsumexp_strip<T, true>(max, log_sum, in, size, stride, strip_from<C>(0, columns, size));
  }
  for (int64_t first = 0; first < columns; first += strip_width<C>(size)) {
    logsumexp_strip<T, false>(max + first, log_sum + first, in + first, size, stride,
                              strip_from<C>(first, columns, size));
  }
}

template <class T, bool is_weighted>
struct BelowMax {
  using V = Vec<Compute<T>>;
  const T* in;
  const Compute<T>* weight;
  V max;
  RUSTTORCH_INLINE V whole(int64_t i) const {
    const V below = max - V::load(in + i);
    return is_weighted ? below * V::load(weight + i) : below;
  }
  RUSTTORCH_INLINE V part(int64_t i, int64_t n) const {
    const V below = max - V::load(in + i, n);
    return select(first_lanes<Compute<T>>(n), is_weighted ? below * V::load(weight + i, n) : below, V(0));
  }
};

// out[row] = sum(weight (max[row] - in[row])) of in[rows][size], in the order of summation.h; weight: [size], null: 1.
template <class T>
void smoothing_sums(double* out, const void* in_, const void* max_, const void* weight_, int64_t rows, int64_t size) {
  using C = Compute<T>;
  const T* const in = static_cast<const T*>(in_);
  const C *const max = static_cast<const C*>(max_), *const weight = static_cast<const C*>(weight_);
  for (int64_t row = 0; row < rows; ++row) {
    const T* const from = in + row * size;
    const Vec<C> m(max[row]);
    out[row] = weight ? ordered_sum<C>(BelowMax<T, true>{from, weight, m}, size)
                      : ordered_sum<C>(BelowMax<T, false>{from, weight, m}, size);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA

#include "logsumexp_backward.h"
#endif
