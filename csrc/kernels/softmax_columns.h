// Softmax down the columns of [size][stride] without a transpose. Included by softmax.h.
// A column sees the arithmetic of a row in the same order, so a matrix and its transpose give the same bits.
#pragma once

namespace rusttorch::RUSTTORCH_ISA {

// Work goes in strips of columns, three times down all rows. Wide strips win, because a narrow one visits every page
// for a line or two. (1024, 1024) float32, half of it on one Zen 3 core, in us by lines of 64 bytes: 4: 410, 8: 400,
// 16: 340, 32: 250; a strip of one line copied to the stack, so that memory is read once: 740. At 32 lines the
// accumulators take 32 KiB. A few rows fit L1 instead: (32, 32000) backward takes 180 with 32 lines, 160 with 8.
//
// The columns of one strip as vectors. The last vector is moved back to end at the last column, where it computes some
// columns twice; only fewer columns than lanes make a partial vector.
template <class C>
struct Strip {
  static constexpr int lanes = Vec<C>::lanes, widest = 32 * kAccumulators<C>, most_vectors = widest / lanes;
  int64_t vectors, last, partial;  // last: the first column of the last vector; partial: the columns of a partial one

  RUSTTORCH_INLINE int64_t column(int64_t v) const { return v + 1 < vectors ? v * lanes : last; }
};
template <class C>
RUSTTORCH_INLINE int64_t strip_width(int64_t rows) {
  return rows <= 128 ? Strip<C>::widest / 4 : Strip<C>::widest;
}
// The strip from column `first` of `columns`, counting columns from `first`.
template <class C>
RUSTTORCH_INLINE Strip<C> strip_from(int64_t first, int64_t columns, int64_t rows) {
  constexpr int lanes = Strip<C>::lanes;
  const int64_t left = columns - first, widest = strip_width<C>(rows), width = left < widest ? left : widest;
  if (columns < lanes) return {1, 0, columns};
  return {(width + lanes - 1) / lanes, width - lanes, 0};
}

template <bool is_partial, class C, class T>
RUSTTORCH_INLINE Vec<C> load_columns(const T* row, Strip<C> strip, int64_t v) {
  if constexpr (is_partial) return Vec<C>::load(row, strip.partial);
  else return Vec<C>::load(row + strip.column(v));
}
template <bool is_partial, class C, class T>
RUSTTORCH_INLINE void store_columns(T* row, Strip<C> strip, int64_t v, Vec<C> value) {
  if constexpr (is_partial) value.store(row, strip.partial);
  else value.store(row + strip.column(v));
}

// The sums of a strip's columns, in the order of softmax.h.
template <class C>
struct ColumnSums {
  using V = Vec<C>;
  static constexpr int lanes = V::lanes, accumulators = kAccumulators<C>;
  int64_t vectors;
  Total<V> total[Strip<C>::most_vectors];
  alignas(64) C block[accumulators * Strip<C>::widest];  // [accumulators][vectors]

  explicit RUSTTORCH_INLINE ColumnSums(int64_t strip_vectors) : vectors(strip_vectors) {
    for (int64_t v = 0; v < vectors; ++v) total[v] = {V(C(0)), V(C(0))};
  }
  RUSTTORCH_INLINE C* accumulator(int64_t row) { return block + row % accumulators * vectors * lanes; }
  // `rows` rows have been added since the last block; the first of them overwrote the accumulators.
  RUSTTORCH_INLINE void end_block(int64_t rows) {
    for (int64_t v = 0; v < vectors; ++v) {
      V sums[accumulators];
      for (int k = 0; k < accumulators; ++k) sums[k] = k < rows ? V::load(block + (k * vectors + v) * lanes) : V(C(0));
      add_to_total(total[v], add_by_halves(sums));
    }
  }
};

// Adds the exponentials of one row to the accumulators, or starts them, and keeps the exponentials.
template <bool start, bool is_partial, bool keep, class T>
RUSTTORCH_INLINE void add_exponentials(Compute<T>* kept, const T* in, Compute<T>* accumulator,
                                       const Vec<Compute<T>>* max, Strip<Compute<T>> strip) {
  using V = Vec<Compute<T>>;
  for (int64_t v = 0; v < strip.vectors; ++v) {
    const V exponential = shifted_exponential(load_columns<is_partial>(in, strip, v), max[v]);
    const V before = start ? V(0) : V::load(accumulator + v * V::lanes);
    (before + exponential).store(accumulator + v * V::lanes);
    if constexpr (keep) store_columns<is_partial>(kept, strip, v, exponential);
  }
}

// The results of one row, from its exponentials or from the input. The last vector overlaps with the one before it, which
// may overwrite its exponentials.
template <bool is_partial, class F, class T, class C>
RUSTTORCH_INLINE void write_results(T* out, const C* kept, const Vec<C>* factor, Strip<C> strip) {
  const int64_t last = strip.vectors - 1;
  const Vec<C> last_value = load_columns<is_partial>(kept, strip, last);
  for (int64_t v = 0; v < last; ++v) {
    store_columns<is_partial>(out, strip, v, F::result(load_columns<is_partial>(kept, strip, v), factor[v]));
  }
  store_columns<is_partial>(out, strip, last, F::result(last_value, factor[last]));
}
template <bool is_partial, class F, class T, class C>
RUSTTORCH_INLINE void write_results(T* out, const T* in, const Vec<C>* max, const Vec<C>* factor, Strip<C> strip) {
  for (int64_t v = 0; v < strip.vectors; ++v) {
    store_columns<is_partial>(out, strip, v, F::result(load_columns<is_partial>(in, strip, v), max[v], factor[v]));
  }
}

// The largest value of each column of a strip, NaN left out.
template <class T, bool is_partial>
RUSTTORCH_INLINE void strip_max(Vec<Compute<T>>* max, const T* in, int64_t size, int64_t stride,
                                Strip<Compute<T>> strip) {
  using C = Compute<T>;
  using V = Vec<C>;
  for (int64_t v = 0; v < strip.vectors; ++v) max[v] = V(-std::numeric_limits<C>::infinity());
  int64_t i = 0;
  for (; i + 4 <= size; i += 4) {  // four rows at once, because the maximum waits for its own store
    for (int64_t v = 0; v < strip.vectors; ++v) {
      V largest = max[v];
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k)
        largest = max_number(load_columns<is_partial>(in + (i + k) * stride, strip, v), largest);
      max[v] = largest;
    }
  }
  for (; i < size; ++i) {
    for (int64_t v = 0; v < strip.vectors; ++v) {
      max[v] = max_number(load_columns<is_partial>(in + i * stride, strip, v), max[v]);
    }
  }
}

// The sums of the shifted exponentials, which wait in kept[size][kept_stride] with `keep`.
template <class T, bool is_partial, bool keep>
RUSTTORCH_INLINE void strip_sums(ColumnSums<Compute<T>>& sums, const T* in, int64_t size, int64_t stride,
                                 const Vec<Compute<T>>* max, Strip<Compute<T>> strip, Compute<T>* kept,
                                 int64_t kept_stride) {
  using C = Compute<T>;
  for (int64_t start = 0; start < size; start += kBlock<C>) {
    const int64_t end = start + kBlock<C> < size ? start + kBlock<C> : size;
    for (int64_t row = start; row < end; ++row) {
      C *const to = keep ? kept + row * kept_stride : nullptr, *const accumulator = sums.accumulator(row);
      const T* const from = in + row * stride;
      if (row - start < sums.accumulators) add_exponentials<true, is_partial, keep>(to, from, accumulator, max, strip);
      else add_exponentials<false, is_partial, keep>(to, from, accumulator, max, strip);
    }
    sums.end_block(end - start);
  }
}

// With `keep`, the exponentials wait in kept[size][kept_stride] for the last pass: the result, or narrower columns' stack.
template <class T, template <class> class Functor, bool is_partial, bool keep>
void softmax_strip(T* out, const T* in, int64_t size, int64_t stride, Strip<Compute<T>> strip, Compute<T>* kept,
                   int64_t kept_stride) {
  using C = Compute<T>;
  using V = Vec<C>;
  using F = Functor<V>;
  V max[Strip<C>::most_vectors], factor[Strip<C>::most_vectors];
  strip_max<T, is_partial>(max, in, size, stride, strip);
  ColumnSums<C> sums(strip.vectors);
  strip_sums<T, is_partial, keep>(sums, in, size, stride, max, strip, kept, kept_stride);
  for (int64_t v = 0; v < strip.vectors; ++v) factor[v] = F::factor(value_of(sums.total[v]));

  for (int64_t row = 0; row < size; ++row) {
    T* const to = out + row * stride;
    if constexpr (keep) write_results<is_partial, F>(to, kept + row * kept_stride, factor, strip);
    else write_results<is_partial, F>(to, in + row * stride, max, factor, strip);
  }
}

// out, in: [size][stride]; columns [0, columns).
template <class T, template <class> class Functor>
void softmax_columns(void* out_, const void* in_, int64_t size, int64_t columns, int64_t stride) {
  using C = Compute<T>;
  constexpr bool keep = Functor<Vec<C>>::from_exponentials, wide = std::is_same_v<T, C>;
  T* const out = static_cast<T*>(out_);
  const T* const in = static_cast<const T*>(in_);
  if constexpr (keep && !wide) {
    // The result is too narrow for the exponentials: narrow strips, whose own fit the stack, or they are computed twice.
    // bfloat16 (256, 256): 38 -> 25 us.
    constexpr int64_t scratch_size = 16384;
    const int64_t width = scratch_size / size / Vec<C>::lanes * Vec<C>::lanes;
    if (width >= 2 * kAccumulators<C> && columns >= Vec<C>::lanes) {
      C scratch[scratch_size];
      const int64_t widest = width < strip_width<C>(size) ? width : strip_width<C>(size);
      for (int64_t first = 0; first < columns; first += widest) {
        const int64_t end = first + widest < columns ? first + widest : columns;
        const int64_t start = end - first < Vec<C>::lanes ? end - Vec<C>::lanes : first;
        softmax_strip<T, Functor, false, true>(out + start, in + start, size, stride,
                                               strip_from<C>(0, end - start, size), scratch, width);
      }
      return;
    }
  }
  if (columns < Vec<C>::lanes) {
    const Strip<C> strip = strip_from<C>(0, columns, size);
    if constexpr (keep && wide) softmax_strip<T, Functor, true, true>(out, in, size, stride, strip, out, stride);
    else softmax_strip<T, Functor, true, false>(out, in, size, stride, strip, nullptr, 0);
    return;
  }
  for (int64_t first = 0; first < columns; first += strip_width<C>(size)) {
    const Strip<C> strip = strip_from<C>(first, columns, size);
    T* const to = out + first;
    if constexpr (keep && wide) softmax_strip<T, Functor, false, true>(to, in + first, size, stride, strip, to, stride);
    else softmax_strip<T, Functor, false, false>(to, in + first, size, stride, strip, nullptr, 0);
  }
}

// The same with the terms of the gradient's sum.
template <bool start, bool is_partial, class F, class T>
RUSTTORCH_INLINE void add_terms(const T* grad_output, const T* output, Compute<T>* accumulator,
                                Strip<Compute<T>> strip) {
  using V = Vec<Compute<T>>;
  for (int64_t v = 0; v < strip.vectors; ++v) {
    const V grad = load_columns<is_partial>(grad_output, strip, v), y = load_columns<is_partial>(output, strip, v);
    const V before = start ? V(0) : V::load(accumulator + v * V::lanes);
    F::add_term(before, grad, y).store(accumulator + v * V::lanes);
  }
}

template <class T, template <class> class Functor, bool is_partial>
void softmax_strip_backward(T* grad_input, const T* grad_output, const T* output, int64_t size, int64_t stride,
                            Strip<Compute<T>> strip) {
  using C = Compute<T>;
  using V = Vec<C>;
  using F = Functor<V>;
  ColumnSums<C> sums(strip.vectors);
  for (int64_t start = 0; start < size; start += kBlock<C>) {
    const int64_t end = start + kBlock<C> < size ? start + kBlock<C> : size;
    for (int64_t row = start; row < end; ++row) {
      const T *const grad = grad_output + row * stride, *const y = output + row * stride;
      C* const accumulator = sums.accumulator(row);
      if (row - start < sums.accumulators) add_terms<true, is_partial, F>(grad, y, accumulator, strip);
      else add_terms<false, is_partial, F>(grad, y, accumulator, strip);
    }
    sums.end_block(end - start);
  }
  V sum[Strip<C>::most_vectors];
  for (int64_t v = 0; v < strip.vectors; ++v) sum[v] = value_of(sums.total[v]);
  for (int64_t row = 0; row < size; ++row) {
    for (int64_t v = 0; v < strip.vectors; ++v) {
      const V grad = load_columns<is_partial>(grad_output + row * stride, strip, v);
      const V y = load_columns<is_partial>(output + row * stride, strip, v);
      store_columns<is_partial>(grad_input + row * stride, strip, v, F::gradient(grad, y, sum[v]));
    }
  }
}

// grad_input, grad_output, output: [size][stride]; columns [0, columns).
template <class T, template <class> class Functor>
void softmax_columns_backward(void* grad_input, const void* grad_output, const void* output, int64_t size,
                              int64_t columns, int64_t stride) {
  using C = Compute<T>;
  T* const to = static_cast<T*>(grad_input);
  const T *const grad = static_cast<const T*>(grad_output), *const y = static_cast<const T*>(output);
  if (columns < Vec<C>::lanes) {
    return softmax_strip_backward<T, Functor, true>(to, grad, y, size, stride, strip_from<C>(0, columns, size));
  }
  for (int64_t first = 0; first < columns; first += strip_width<C>(size)) {
    const Strip<C> strip = strip_from<C>(first, columns, size);
    softmax_strip_backward<T, Functor, false>(to + first, grad + first, y + first, size, stride, strip);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
