// The largest or smallest element of rows and of columns, and where it stands first. Included by reduce.h.
// A NaN is an extreme, the first one is the place. 0 and -0 are equal.
#pragma once
#include "map.h"

namespace rusttorch::RUSTTORCH_ISA {

template <class V>
struct Largest {
  static constexpr Lane<V> worst = -std::numeric_limits<Lane<V>>::infinity();
  static RUSTTORCH_INLINE V better(V a, V b) { return max_number(a, b); }  // of numbers; b if a is NaN
  static RUSTTORCH_INLINE Mask<Lane<V>> beats(V a, V b) { return a > b; }
  static RUSTTORCH_INLINE bool beats(Lane<V> a, Lane<V> b) { return a > b; }
  static RUSTTORCH_INLINE Lane<V> reduce(V v) { return reduce_max_number(v); }
};
template <class V>
struct Smallest {
  static constexpr Lane<V> worst = std::numeric_limits<Lane<V>>::infinity();
  static RUSTTORCH_INLINE V better(V a, V b) { return min_number(a, b); }
  static RUSTTORCH_INLINE Mask<Lane<V>> beats(V a, V b) { return a < b; }
  static RUSTTORCH_INLINE bool beats(Lane<V> a, Lane<V> b) { return a < b; }
  static RUSTTORCH_INLINE Lane<V> reduce(V v) { return -reduce_max_number(-v); }
};

template <class C>
struct Extreme {
  C value;
  bool is_nan;
};

// Of in[0, n), n > 0. A NaN loses every comparison, so it is looked for beside the extreme.
template <class T, template <class> class Functor>
RUSTTORCH_INLINE Extreme<Compute<T>> extreme_of(const T* in, int64_t n) {
  using C = Compute<T>;
  using V = Vec<C>;
  using F = Functor<V>;
  constexpr int count = 4;
  V best[count];
  for (int k = 0; k < count; ++k) best[k] = V(F::worst);
  Mask<C> nan = first_lanes<C>(0);
  int64_t i = 0;
  for (; i + count * V::lanes <= n; i += count * V::lanes) {
    for (int k = 0; k < count; ++k) {
      const V x = V::load(in + i + k * V::lanes);
      nan = nan | is_nan(x);
      best[k] = F::better(x, best[k]);
    }
  }
  for (; i < n; i += V::lanes) {
    const int64_t left = n - i < V::lanes ? n - i : V::lanes;
    const V loaded = left < V::lanes ? V::load(in + i, left) : V::load(in + i);
    const V x = left < V::lanes ? select(first_lanes<C>(left), loaded, V(F::worst)) : loaded;
    nan = nan | is_nan(x);
    best[0] = F::better(x, best[0]);
  }
  const V pair = F::better(best[2], best[0]), other = F::better(best[3], best[1]);
  return {F::reduce(F::better(other, pair)), any(nan)};
}

// The first place of `value` in in[0, n), or of a NaN; n when there is none.
template <class T>
RUSTTORCH_INLINE int64_t first_place(const T* in, int64_t n, Extreme<Compute<T>> extreme) {
  using C = Compute<T>;
  using V = Vec<C>;
  const V value(extreme.value);
  int64_t i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    const V x = V::load(in + i);
    if (extreme.is_nan ? any(is_nan(x)) : any(x == value)) break;
  }
  C lanes[V::lanes];
  V::load(in + i, n - i < V::lanes ? n - i : V::lanes).store(lanes);
  for (int64_t k = i; k < n; ++k) {
    if (extreme.is_nan ? lanes[k - i] != lanes[k - i] : lanes[k - i] == extreme.value) return k;
  }
  return n;
}

// values[rows], places[rows] (or null), in [rows][size], size > 0. A long row goes in pieces: only the first piece that
// has the extreme is searched, while it is in the first-level cache or not far.
template <class T, template <class> class Functor>
void extreme_rows(void* values, int64_t* places, const void* in, int64_t rows, int64_t size) {
  using C = Compute<T>;
  using F = Functor<Vec<C>>;
  constexpr int64_t piece = 4096;
  for (int64_t row = 0; row < rows; ++row) {
    const T* const from = static_cast<const T*>(in) + row * size;
    Extreme<C> best = extreme_of<T, Functor>(from, size < piece ? size : piece);
    int64_t start = 0;
    for (int64_t i = piece; i < size && !best.is_nan; i += piece) {
      const Extreme<C> next = extreme_of<T, Functor>(from + i, size - i < piece ? size - i : piece);
      if (next.is_nan || F::beats(next.value, best.value)) best = next, start = i;
    }
    if (!places) {
      const Vec<C> value(best.is_nan ? std::numeric_limits<C>::quiet_NaN() : best.value);
      value.store(static_cast<T*>(values) + row, 1);
      continue;
    }
    const int64_t place = start + first_place<T>(from + start, size - start < piece ? size - start : piece, best);
    places[row] = place;
    static_cast<T*>(values)[row] = from[place];
  }
}

// Columns go in strips, whose best rows so far wait on the stack, each place as the bits of a number of the same width.
inline constexpr int kExtremeStrip = 512;
template <class C>
struct ExtremeStrip {
  alignas(64) C best[kExtremeStrip], place[kExtremeStrip];
};

// `count` rows from `first` on, for the vector of columns at `at`: a row takes over where it beats the best, or is the
// first NaN. Several rows at once, because the best waits for its own store.
template <class T, template <class> class Functor, int count>
RUSTTORCH_INLINE void improve(Compute<T>* best_at, Compute<T>* place_at, const T* in, int64_t stride, int64_t first,
                              int64_t partial) {
  using C = Compute<T>;
  using V = Vec<C>;
  using Integer = std::conditional_t<sizeof(C) == 4, int32_t, int64_t>;
  V best = V::load(best_at), place = V::load(place_at);
  for (int k = 0; k < count; ++k) {
    const V x = partial ? V::load(in + k * stride, partial) : V::load(in + k * stride);
    const Mask<C> better = Functor<V>::beats(x, best) | (is_nan(x) & ~is_nan(best));
    best = select(better, x, best);
    place = select(better, from_bits(Vec<Integer>(Integer(first + k))), place);
  }
  best.store(best_at);
  place.store(place_at);
}

// The same without places.
template <class T, template <class> class Functor, int count>
RUSTTORCH_INLINE void improve_values(Compute<T>* best_at, const T* in, int64_t stride, int64_t partial) {
  using V = Vec<Compute<T>>;
  V best = V::load(best_at);
  for (int k = 0; k < count; ++k) {
    const V x = partial ? V::load(in + k * stride, partial) : V::load(in + k * stride);
    best = select(is_nan(x), x, Functor<V>::better(x, best));
  }
  best.store(best_at);
}
template <class T, template <class> class Functor, int count>
RUSTTORCH_INLINE void improve_strip(ExtremeStrip<Compute<T>>& strip, const T* in, int64_t stride, int64_t first,
                                    int64_t width, bool with_places) {
  constexpr int lanes = Vec<Compute<T>>::lanes;
  for (int64_t c = 0; c < width; c += lanes) {
    const int64_t partial = width - c < lanes ? width - c : 0;
    if (with_places) improve<T, Functor, count>(strip.best + c, strip.place + c, in + c, stride, first, partial);
    else improve_values<T, Functor, count>(strip.best + c, in + c, stride, partial);
  }
}

// values[columns], places[columns] (or null), in [size][stride], 0 < size < 2^31.
template <class T, template <class> class Functor>
void extreme_columns(void* values, int64_t* places, const void* in, int64_t size, int64_t columns, int64_t stride) {
  using C = Compute<T>;
  using V = Vec<C>;
  using Integer = std::conditional_t<sizeof(C) == 4, int32_t, int64_t>;
  ExtremeStrip<C> strip;
  for (int64_t first = 0; first < columns; first += kExtremeStrip) {
    const int64_t width = first + kExtremeStrip < columns ? kExtremeStrip : columns - first;
    const T* const from = static_cast<const T*>(in) + first;
    for (int64_t c = 0; c < width; c += V::lanes) {
      const int64_t left = width - c < V::lanes ? width - c : V::lanes;
      (left < V::lanes ? V::load(from + c, left) : V::load(from + c)).store(strip.best + c);
      V(C(0)).store(strip.place + c);
    }
    int64_t row = 1;
    for (; row + 4 <= size; row += 4) {
      improve_strip<T, Functor, 4>(strip, from + row * stride, stride, row, width, places != nullptr);
    }
    for (; row < size; ++row) {
      improve_strip<T, Functor, 1>(strip, from + row * stride, stride, row, width, places != nullptr);
    }
    T* const to = static_cast<T*>(values) + first;
    for (int64_t c = 0; c < width; c += V::lanes) {
      const int64_t left = width - c < V::lanes ? width - c : V::lanes;
      if (left < V::lanes) V::load(strip.best + c).store(to + c, left);
      else V::load(strip.best + c).store(to + c);
    }
    if (!places) continue;
    for (int64_t c = 0; c < width; ++c) places[first + c] = std::bit_cast<Integer>(strip.place[c]);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
