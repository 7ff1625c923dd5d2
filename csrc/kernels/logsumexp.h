// log(sum(e^x)) along rows or down columns, and what its gradient and that of cross entropy are made of.
//
//   logsumexp            max and log(sum(e^(x - max))): their sum is the result, and kept apart they lose nothing where
//                        both are large
//   logsumexp_backward   scale e^(x - max - log_sum) - offset w - (peak at the target)
//   smoothing_sums       sum(w (max - x)), in double
//
// -inf only: max = -inf; +inf: max = +inf; NaN: max = NaN; each with log_sum = 0. The sum of exponentials is added in the
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

template <class T, int lines>
void logsumexp_short_rows(Compute<T>* max, Compute<T>* log_sum, const T* in, int64_t rows, int64_t size) {
  using C = Compute<T>;
  constexpr int batch = Vec<C>::lanes;
  C sum[batch];
  T copy[lines * Line<T>::size];  // stands in for a row that may not be overrun
  const int64_t overrun = rows_to_overrun<T>(rows, size);
  for (int k = 0; k < batch; ++k) sum[k] = 1;
  for (int64_t first = 0; first < rows; first += batch) {
    const int64_t end = first + batch < rows ? first + batch : rows;
    for (int64_t row = first; row < end; ++row) {
      const T* from = in + row * size;
      if (row >= overrun) from = static_cast<const T*>(std::memcpy(copy, from, size_t(size) * sizeof(T)));
      short_row_sum<T, LogSoftmax, lines>(from, size, nullptr, max + row, sum + (row - first));
    }
    logsumexp_of_batch(max + first, log_sum + first, in + first * size, end - first, size, sum);
  }
}

// in: [rows][size] -> max, log_sum: [rows] in the compute type.
template <class T>
void logsumexp_rows(void* max_, void* log_sum_, const void* in_, int64_t rows, int64_t size) {
  using C = Compute<T>;
  using V = Vec<C>;
  C *const max = static_cast<C*>(max_), *const log_sum = static_cast<C*>(log_sum_);
  const T* const in = static_cast<const T*>(in_);
  constexpr int line_size = Line<T>::size;
  if constexpr (Line<T>::vectors <= 4) {
    if (size <= line_size) return logsumexp_short_rows<T, 1>(max, log_sum, in, rows, size);
    if (size <= 2 * line_size) return logsumexp_short_rows<T, 2>(max, log_sum, in, rows, size);
    if (size <= 3 * line_size) return logsumexp_short_rows<T, 3>(max, log_sum, in, rows, size);
    if (size <= 4 * line_size) return logsumexp_short_rows<T, 4>(max, log_sum, in, rows, size);
  }
  // As many rows at a time as fit the first-level cache together: all maxima, then all sums (softmax_batch says why).
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
      row_sum<T, false>(nullptr, from + row * size, size, first + row < overrun, V(max[first + row]))
          .store(partial + row * V::lanes);
    }
    for (int64_t row = 0; row < count; ++row) sum[row] = reduce_add(V::load(partial + row * V::lanes));
    logsumexp_of_batch(max + first, log_sum + first, from, count, size, sum);
  }
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

// The terms of rows or columns [first, first + lanes), of which the last may end the list.
template <class T>
struct LoadedTerms {
  using C = Compute<T>;
  using V = Vec<C>;
  V max, factor, offset;
  RUSTTORCH_INLINE LoadedTerms(const GradientTerms& terms, int64_t first, int64_t count) {
    const V scale = V::load(static_cast<const C*>(terms.scale) + first, count);
    max = V::load(static_cast<const C*>(terms.max) + first, count);
    factor = unshifted(scale);
    if (terms.log_sum) {
      factor = unshifted(scale * exp(V(C(0)) - V::load(static_cast<const C*>(terms.log_sum) + first, count)));
    }
    offset = terms.offset ? V::load(static_cast<const C*>(terms.offset) + first, count) : V(C(0));
  }
};

enum class Offset { none, plain, weighted };

template <Offset kind, class V>
RUSTTORCH_INLINE V gradient_value(V x, V max, V factor, V offset, V weight) {
  const V value = shifted_exponential(x, max) * factor;
  if constexpr (kind == Offset::plain) return value - offset;
  if constexpr (kind == Offset::weighted) return fnma(offset, weight, value);
  return value;
}

// The element at the target, computed again: bfloat16 and float16 round once.
template <class T, Offset kind>
RUSTTORCH_INLINE void write_peak(T* out, const T* in, Vec<Compute<T>> max, Vec<Compute<T>> factor,
                                 Vec<Compute<T>> offset, const Compute<T>* weight, Compute<T> peak) {
  using V = Vec<Compute<T>>;
  const V w(kind == Offset::weighted ? *weight : Compute<T>(1));
  (gradient_value<kind>(V::load(in, 1), max, factor, offset, w) - V(peak)).store(out, 1);
}

template <class T, Offset kind>
void gradient_rows(T* out, const T* in, int64_t rows, int64_t size, const GradientTerms& terms) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int line_size = Line<T>::size, vectors = Line<T>::vectors;
  const C *const weight = static_cast<const C*>(terms.weight), *const peak = static_cast<const C*>(terms.peak);
  const int64_t overrun = out == in ? 0 : rows_to_overrun<T>(rows, size);
  C max[V::lanes], factor[V::lanes], offset[V::lanes];
  for (int64_t first = 0; first < rows; first += V::lanes) {
    const int64_t end = first + V::lanes < rows ? first + V::lanes : rows;
    const LoadedTerms<T> loaded(terms, first, end - first);
    loaded.max.store(max);
    loaded.factor.store(factor);
    loaded.offset.store(offset);
    for (int64_t row = first; row < end; ++row) {
      const T* const from = in + row * size;
      T* const to = out + row * size;
      const V m(max[row - first]), f(factor[row - first]), o(offset[row - first]);
      const int64_t target = terms.target ? terms.target[row] : -1;
      const bool has_peak = target >= 0 && target < size;
      T at_target;  // `to` may be `from`
      if (has_peak)
        write_peak<T, kind>(&at_target, from + target, m, f, o, weight + (kind == Offset::weighted ? target : 0),
                            peak[row]);
      for (int64_t i = 0; i < size; i += line_size) {
        const int64_t n = size - i;
        Line<T> line = n >= line_size ? load_line(from + i) : load_line(from + i, n, C(0), row < overrun);
        if constexpr (kind == Offset::weighted) {
          const Line<C> w = n >= line_size ? load_line(weight + i) : load_line(weight + i, n, C(0), false);
          for (int k = 0; k < vectors; ++k) line.v[k] = gradient_value<kind>(line.v[k], m, f, o, w.v[k]);
        } else {
          for (int k = 0; k < vectors; ++k) line.v[k] = gradient_value<kind>(line.v[k], m, f, o, o);
        }
        if (n >= line_size) store_line(to + i, line);
        else store_line(to + i, line, n, row < overrun);
      }
      if (has_peak) to[target] = at_target;
    }
  }
}

// out, in: [rows][size]; out == in is allowed.
template <class T>
void logsumexp_rows_backward(void* out_, const void* in_, int64_t rows, int64_t size, const GradientTerms& terms) {
  T* const out = static_cast<T*>(out_);
  const T* const in = static_cast<const T*>(in_);
  if (!terms.offset) return gradient_rows<T, Offset::none>(out, in, rows, size, terms);
  if (!terms.weight) return gradient_rows<T, Offset::plain>(out, in, rows, size, terms);
  gradient_rows<T, Offset::weighted>(out, in, rows, size, terms);
}

template <class T, Offset kind, bool is_partial>
void gradient_strip(T* out, const T* in, int64_t size, int64_t stride, const GradientTerms& terms, int64_t first,
                    Strip<Compute<T>> strip) {
  using C = Compute<T>;
  using V = Vec<C>;
  const C* const weight = static_cast<const C*>(terms.weight);
  V max[Strip<C>::most_vectors], factor[Strip<C>::most_vectors], offset[Strip<C>::most_vectors];
  for (int64_t v = 0; v < strip.vectors; ++v) {
    const LoadedTerms<T> loaded(terms, first + strip.column(v), is_partial ? strip.partial : V::lanes);
    max[v] = loaded.max;
    factor[v] = loaded.factor;
    offset[v] = loaded.offset;
  }
  for (int64_t row = 0; row < size; ++row) {
    const V w(kind == Offset::weighted ? weight[row] : C(1));
    for (int64_t v = 0; v < strip.vectors; ++v) {
      const V x = load_columns<is_partial>(in + row * stride, strip, v);
      store_columns<is_partial>(out + row * stride, strip, v, gradient_value<kind>(x, max[v], factor[v], offset[v], w));
    }
  }
}

template <class T, Offset kind>
void gradient_columns(T* out, const T* in, int64_t size, int64_t columns, int64_t stride, const GradientTerms& terms) {
  using C = Compute<T>;
  using V = Vec<C>;
  if (columns < V::lanes) {
    gradient_strip<T, kind, true>(out, in, size, stride, terms, 0, strip_from<C>(0, columns, size));
  } else {
    for (int64_t first = 0; first < columns; first += strip_width<C>(size)) {
      gradient_strip<T, kind, false>(out + first, in + first, size, stride, terms, first,
                                     strip_from<C>(first, columns, size));
    }
  }
  if (!terms.target) return;
  const C *const weight = static_cast<const C*>(terms.weight), *const peak = static_cast<const C*>(terms.peak);
  C max[V::lanes], factor[V::lanes], offset[V::lanes];
  for (int64_t first = 0; first < columns; first += V::lanes) {
    const int64_t end = first + V::lanes < columns ? first + V::lanes : columns;
    const LoadedTerms<T> loaded(terms, first, end - first);
    loaded.max.store(max);
    loaded.factor.store(factor);
    loaded.offset.store(offset);
    for (int64_t k = first; k < end; ++k) {
      const int64_t target = terms.target[k], at = target * stride + k;
      if (target < 0 || target >= size) continue;
      write_peak<T, kind>(out + at, in + at, V(max[k - first]), V(factor[k - first]), V(offset[k - first]),
                          weight + (kind == Offset::weighted ? target : 0), peak[k]);
    }
  }
}

// out, in: [size][stride], of which columns [0, columns).
template <class T>
void logsumexp_columns_backward(void* out_, const void* in_, int64_t size, int64_t columns, int64_t stride,
                                const GradientTerms& terms) {
  T* const out = static_cast<T*>(out_);
  const T* const in = static_cast<const T*>(in_);
  if (!terms.offset) return gradient_columns<T, Offset::none>(out, in, size, columns, stride, terms);
  if (!terms.weight) return gradient_columns<T, Offset::plain>(out, in, size, columns, stride, terms);
  gradient_columns<T, Offset::weighted>(out, in, size, columns, stride, terms);
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
#endif
