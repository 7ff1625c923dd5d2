// Softmax down the columns of [size][stride] without a transpose. Included by softmax.h.
// A column sees the arithmetic of a row in the same order, so a matrix and its transpose give the same bits.
#pragma once

namespace rusttorch::RUSTTORCH_ISA {

// Work goes in strips of columns, three times down all rows. Wide strips win, because a narrow one visits every page for
// a line or two. (1024, 1024) float32, half of it on one Zen 3 core, in us by lines of 64 bytes: 4: 590, 8: 520, 16: 460,
// 32: 390; a strip of one line copied to the stack, so that memory is read once: 740. With few rows, the strip itself
// should stay in L1: (32, 32000) takes 340 with 8 lines, 360 with 32. The accumulators take at most 32 KiB.
//
// The columns of one strip as vectors: vector v holds the `lanes` columns from offset[v] on. The last vector is moved
// back to end at the last column, where it computes some columns twice; only fewer columns than lanes are partial.
template <class C>
struct Strip {
  static constexpr int lanes = Vec<C>::lanes, widest = 32 * kAccumulators<C>, most_vectors = widest / lanes;
  int64_t vectors, partial;  // partial: the number of columns when they do not fill a vector, else 0
  int64_t offset[most_vectors];

  static RUSTTORCH_INLINE int64_t best_width(int64_t rows) { return rows <= 256 ? widest / 4 : widest; }

  // Of `columns` columns, [first, first + width).
  RUSTTORCH_INLINE Strip(int64_t first, int64_t width, int64_t columns)
      : vectors((width + lanes - 1) / lanes), partial(columns < lanes ? columns : 0) {
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t begin = first + v * lanes;
      offset[v] = begin + lanes <= columns || partial ? begin : columns - lanes;
    }
  }
};

template <bool is_partial, class C, class T>
RUSTTORCH_INLINE Vec<C> load_columns(const T* row, const Strip<C>& strip, int64_t v) {
  if constexpr (is_partial) return Vec<C>::load(row, strip.partial);
  else return Vec<C>::load(row + strip.offset[v]);
}
template <bool is_partial, class C, class T>
RUSTTORCH_INLINE void store_columns(T* row, const Strip<C>& strip, int64_t v, Vec<C> value) {
  if constexpr (is_partial) value.store(row, strip.partial);
  else value.store(row + strip.offset[v]);
}

// The sums of a strip's columns, in the order of softmax.h.
template <class C>
struct ColumnSums {
  using V = Vec<C>;
  static constexpr int lanes = V::lanes, accumulators = kAccumulators<C>;
  int64_t width;  // of a row of accumulators
  Total<V> total[Strip<C>::most_vectors];
  alignas(64) C block[accumulators * Strip<C>::widest];

  explicit RUSTTORCH_INLINE ColumnSums(int64_t vectors) : width(vectors * lanes) {
    for (int64_t v = 0; v < vectors; ++v) total[v] = {V(C(0)), V(C(0))};
    for (int64_t i = 0; i < accumulators * width; i += lanes) V(C(0)).store(block + i);
  }
  RUSTTORCH_INLINE C* accumulator(int64_t row) { return block + row % accumulators * width; }
  RUSTTORCH_INLINE void end_block() {
    for (int64_t v = 0; v * lanes < width; ++v) {
      V sums[accumulators];
      for (int k = 0; k < accumulators; ++k) {
        sums[k] = V::load(block + k * width + v * lanes);
        V(C(0)).store(block + k * width + v * lanes);
      }
      add_to_total(total[v], add_by_halves(sums));
    }
  }
};

template <class T, template <class> class Functor, bool is_partial>
void softmax_strip(T* out, const T* in, int64_t size, int64_t stride, const Strip<Compute<T>>& strip) {
  using C = Compute<T>;
  using V = Vec<C>;
  using F = Functor<V>;
  constexpr int lanes = V::lanes;
  constexpr bool keep = F::from_exponentials && std::is_same_v<T, C>;  // the exponentials, in the result
  V max[Strip<C>::most_vectors], factor[Strip<C>::most_vectors];

  for (int64_t v = 0; v < strip.vectors; ++v) max[v] = V(-std::numeric_limits<C>::infinity());
  int64_t i = 0;
  for (; i + 4 <= size; i += 4) {  // four rows at once, because the maximum waits for its own store
    for (int64_t v = 0; v < strip.vectors; ++v) {
      V largest = max[v];
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) largest = max_number(load_columns<is_partial>(in + (i + k) * stride, strip, v), largest);
      max[v] = largest;
    }
  }
  for (; i < size; ++i) {
    for (int64_t v = 0; v < strip.vectors; ++v) {
      max[v] = max_number(load_columns<is_partial>(in + i * stride, strip, v), max[v]);
    }
  }

  ColumnSums<C> sums(strip.vectors);
  for (int64_t start = 0; start < size; start += kBlock<C>) {
    const int64_t end = start + kBlock<C> < size ? start + kBlock<C> : size;
    for (int64_t row = start; row < end; ++row) {
      C* const accumulator = sums.accumulator(row);
      for (int64_t v = 0; v < strip.vectors; ++v) {
        const V exponential = shifted_exponential(load_columns<is_partial>(in + row * stride, strip, v), max[v]);
        (V::load(accumulator + v * lanes) + exponential).store(accumulator + v * lanes);
        if constexpr (keep) store_columns<is_partial>(out + row * stride, strip, v, exponential);
      }
    }
    sums.end_block();
  }
  for (int64_t v = 0; v < strip.vectors; ++v) factor[v] = F::factor(value_of(sums.total[v]));

  const int64_t last = strip.vectors - 1;
  for (int64_t row = 0; row < size; ++row) {
    const T* const from = keep ? out + row * stride : in + row * stride;
    const V last_value = load_columns<is_partial>(from, strip, last);  // before what it overlaps with is overwritten
    for (int64_t v = 0; v <= last; ++v) {
      const V x = v < last ? load_columns<is_partial>(from, strip, v) : last_value;
      if constexpr (keep) store_columns<is_partial>(out + row * stride, strip, v, F::result(x, factor[v]));
      else store_columns<is_partial>(out + row * stride, strip, v, F::result(x, max[v], factor[v]));
    }
  }
}

// out, in: [size][stride]; columns [0, columns).
template <class T, template <class> class Functor>
void softmax_columns(void* out_, const void* in_, int64_t size, int64_t columns, int64_t stride) {
  using C = Compute<T>;
  T* const out = static_cast<T*>(out_);
  const T* const in = static_cast<const T*>(in_);
  if (columns < Vec<C>::lanes) {
    return softmax_strip<T, Functor, true>(out, in, size, stride, Strip<C>(0, columns, columns));
  }
  const int64_t best = Strip<C>::best_width(size);
  for (int64_t first = 0; first < columns; first += best) {
    const Strip<C> strip(first, columns - first < best ? columns - first : best, columns);
    softmax_strip<T, Functor, false>(out, in, size, stride, strip);
  }
}

template <class T, template <class> class Functor, bool is_partial>
void softmax_strip_backward(T* grad_input, const T* grad_output, const T* output, int64_t size, int64_t stride,
                            const Strip<Compute<T>>& strip) {
  using C = Compute<T>;
  using V = Vec<C>;
  using F = Functor<V>;
  constexpr int lanes = V::lanes;
  ColumnSums<C> sums(strip.vectors);
  for (int64_t start = 0; start < size; start += kBlock<C>) {
    const int64_t end = start + kBlock<C> < size ? start + kBlock<C> : size;
    for (int64_t row = start; row < end; ++row) {
      C* const accumulator = sums.accumulator(row);
      for (int64_t v = 0; v < strip.vectors; ++v) {
        const V grad = load_columns<is_partial>(grad_output + row * stride, strip, v);
        const V y = load_columns<is_partial>(output + row * stride, strip, v);
        F::add_term(V::load(accumulator + v * lanes), grad, y).store(accumulator + v * lanes);
      }
    }
    sums.end_block();
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
    return softmax_strip_backward<T, Functor, true>(to, grad, y, size, stride, Strip<C>(0, columns, columns));
  }
  const int64_t best = Strip<C>::best_width(size);
  for (int64_t first = 0; first < columns; first += best) {
    const Strip<C> strip(first, columns - first < best ? columns - first : best, columns);
    softmax_strip_backward<T, Functor, false>(to, grad, y, size, stride, strip);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
