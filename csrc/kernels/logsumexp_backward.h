// The gradients of logsumexp and cross entropy, along rows and down columns. Included by logsumexp.h.
#pragma once

namespace rusttorch::RUSTTORCH_ISA {

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

// kept: x is the shifted exponential already.
template <Offset kind, bool kept, class V>
RUSTTORCH_INLINE V gradient_value(V x, V max, V factor, V offset, V weight) {
  const V value = (kept ? x : shifted_exponential(x, max)) * factor;
  if constexpr (kind == Offset::plain) return value - offset;
  if constexpr (kind == Offset::weighted) return fnma(offset, weight, value);
  return value;
}

// *out, the gradient at *in without its peak, less the peak. bfloat16 and float16 are computed again: they round once.
template <class T, Offset kind>
RUSTTORCH_INLINE void subtract_peak(T* out, const T* in, Vec<Compute<T>> max, Vec<Compute<T>> factor,
                                    Vec<Compute<T>> offset, const Compute<T>* weight, Compute<T> peak) {
  if constexpr (std::is_same_v<T, Compute<T>>) {
    *out = *out - peak;
  } else {
    using V = Vec<Compute<T>>;
    const V w(kind == Offset::weighted ? *weight : Compute<T>(1));
    (gradient_value<kind, false>(V::load(in, 1), max, factor, offset, w) - V(peak)).store(out, 1);
  }
}

template <Offset kind, bool kept, class T>
RUSTTORCH_INLINE void gradient_of_line(Line<T>& line, Vec<Compute<T>> max, Vec<Compute<T>> factor,
                                       Vec<Compute<T>> offset, const Line<Compute<T>>& weight) {
#pragma GCC unroll 4
  for (int k = 0; k < Line<T>::vectors; ++k)
    line.v[k] =
        gradient_value<kind, kept>(line.v[k], max, factor, offset, kind == Offset::weighted ? weight.v[k] : offset);
}

// Up to one row per lane, of at least as many elements each, as one: a vector may hold the end of a row and the start
// of the next. Rows of 50 by themselves take 64 lanes each, 1.15 times as long on Zen 4.
template <class T, Offset kind, bool kept>
RUSTTORCH_INLINE void gradient_of_joined_rows(T* out, const T* in, int64_t rows, int64_t size, const Compute<T>* max,
                                              const Compute<T>* factor, const Compute<T>* offset) {
  using C = Compute<T>;
  using V = Vec<C>;
  int64_t i = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t end = (row + 1) * size;
    const V m(max[row]), f(factor[row]), o(offset[row]);
    for (; i + V::lanes <= end; i += V::lanes) gradient_value<kind, kept>(V::load(in + i), m, f, o, o).store(out + i);
    if (i >= end) continue;
    if (row + 1 == rows) {
      gradient_value<kind, kept>(V::load(in + i, end - i), m, f, o, o).store(out + i, end - i);
      continue;
    }
    const auto here = first_lanes<C>(end - i);
    const V both_m = select(here, m, V(max[row + 1])), both_f = select(here, f, V(factor[row + 1]));
    const V both_o = kind == Offset::none ? o : select(here, o, V(offset[row + 1]));
    gradient_value<kind, kept>(V::load(in + i), both_m, both_f, both_o, both_o).store(out + i);
    i += V::lanes;
  }
}

template <class T, Offset kind, bool kept>
void gradient_rows(T* out, const T* in, int64_t rows, int64_t size, const GradientTerms& terms) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int line_size = Line<T>::size;
  const C *const weight = static_cast<const C*>(terms.weight), *const peak = static_cast<const C*>(terms.peak);
  const int64_t overrun = out == in ? 0 : rows_to_overrun<T>(rows, size);
  // The terms of several vectors of rows at once, because the exponential in each takes as long as a row.
  constexpr int64_t block = 4 * V::lanes;
  C max[block], factor[block], offset[block];
  for (int64_t first = 0; first < rows; first += block) {
    const int64_t end = first + block < rows ? first + block : rows;
    for (int64_t row = first; row < end; row += V::lanes) {
      const LoadedTerms<T> loaded(terms, row, end - row < V::lanes ? end - row : V::lanes);
      loaded.max.store(max + (row - first));
      loaded.factor.store(factor + (row - first));
      loaded.offset.store(offset + (row - first));
    }
    const bool joined = kind != Offset::weighted && size >= V::lanes && size <= 16 * V::lanes;
    T at_target[block];  // `out` may be `in`
    for (int64_t row = first; row < end; ++row) {
      const int64_t target = terms.target ? terms.target[row] : -1;
      if (target >= 0 && target < size) at_target[row - first] = in[row * size + target];
    }
    if (joined)
      gradient_of_joined_rows<T, kind, kept>(out + first * size, in + first * size, end - first, size, max, factor,
                                             offset);
    for (int64_t row = first; row < end; ++row) {
      const T* const from = in + row * size;
      T* const to = out + row * size;
      const V m(max[row - first]), f(factor[row - first]), o(offset[row - first]);
      const int64_t target = terms.target ? terms.target[row] : -1;
      const bool has_peak = target >= 0 && target < size;
      Line<C> w;
      int64_t i = joined ? size : 0;
      for (; i + line_size <= size; i += line_size) {
        Line<T> line = load_line(from + i);
        if constexpr (kind == Offset::weighted) w = load_line(weight + i);
        gradient_of_line<kind, kept>(line, m, f, o, w);
        store_line(to + i, line);
      }
      if (i < size) {
        Line<T> line = load_line(from + i, size - i, C(0), row < overrun);
        if constexpr (kind == Offset::weighted) w = load_line(weight + i, size - i, C(0), false);
        gradient_of_line<kind, kept>(line, m, f, o, w);
        store_line(to + i, line, size - i, row < overrun);
      }
      if (has_peak)
        subtract_peak<T, kind>(to + target, at_target + (row - first), m, f, o,
                               weight + (kind == Offset::weighted ? target : 0), peak[row]);
    }
  }
}

template <class T, bool kept>
RUSTTORCH_INLINE void gradient_of(void* out_, const void* in_, int64_t rows, int64_t size, const GradientTerms& terms) {
  T* const out = static_cast<T*>(out_);
  const T* const in = static_cast<const T*>(in_);
  if (!terms.offset) return gradient_rows<T, Offset::none, kept>(out, in, rows, size, terms);
  if (!terms.weight) return gradient_rows<T, Offset::plain, kept>(out, in, rows, size, terms);
  gradient_rows<T, Offset::weighted, kept>(out, in, rows, size, terms);
}

// out, in: [rows][size]; out == in is allowed.
template <class T>
void logsumexp_rows_backward(void* out, const void* in, int64_t rows, int64_t size, const GradientTerms& terms) {
  gradient_of<T, false>(out, in, rows, size, terms);
}
template <class T>
void gradient_of_kept(void* out, const void* kept, int64_t rows, int64_t size, const GradientTerms& terms) {
  gradient_of<T, true>(out, kept, rows, size, terms);
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
      store_columns<is_partial>(out + row * stride, strip, v,
                                gradient_value<kind, false>(x, max[v], factor[v], offset[v], w));
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
      subtract_peak<T, kind>(out + at, in + at, V(max[k - first]), V(factor[k - first]), V(offset[k - first]),
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

}  // namespace rusttorch::RUSTTORCH_ISA
