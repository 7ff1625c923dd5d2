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

// A place as the bits of a number of the same width.
template <class C>
using PlaceInteger = std::conditional_t<sizeof(C) == 4, int32_t, int64_t>;

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
    for (int k = 0; k < count; k += 2) {
      const V x = V::load(in + i + k * V::lanes), y = V::load(in + i + (k + 1) * V::lanes);
      nan = nan | either_is_nan(x, y);
      best[k] = F::better(x, best[k]);
      best[k + 1] = F::better(y, best[k + 1]);
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

// The first place in in[0, n) that is_found(vector) marks; n when there is none. Four vectors for each branch.
template <class T, class IsFound>
RUSTTORCH_INLINE int64_t first_where(const T* in, int64_t n, const IsFound& is_found) {
  using V = Vec<Compute<T>>;
  constexpr int lanes = V::lanes;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const auto first = is_found(V::load(in + i)) | is_found(V::load(in + i + lanes));
    const auto second = is_found(V::load(in + i + 2 * lanes)) | is_found(V::load(in + i + 3 * lanes));
    if (any(first | second)) break;
  }
  for (; i + lanes <= n; i += lanes) {
    const auto found = is_found(V::load(in + i));
    if (any(found)) return i + first_set(found);
  }
  if (i == n) return n;
  const auto found = is_found(V::load(in + i, n - i)) & first_lanes<Compute<T>>(n - i);
  return any(found) ? i + first_set(found) : n;
}
template <class V>
struct IsNan {
  RUSTTORCH_INLINE Mask<Lane<V>> operator()(V x) const { return is_nan(x); }
};
template <class V>
struct IsEqual {
  V value;
  RUSTTORCH_INLINE Mask<Lane<V>> operator()(V x) const { return x == value; }
};
// Not inlined: with AVX2 it would cost the loop before it a register, and values alone, (4096, 1024), 42 us instead of 24.
template <class T>
__attribute__((noinline)) int64_t first_place(const T* in, int64_t n, Extreme<Compute<T>> extreme) {
  using V = Vec<Compute<T>>;
  return extreme.is_nan ? first_where(in, n, IsNan<V>{}) : first_where(in, n, IsEqual<V>{V(extreme.value)});
}

// One row. A long one goes in pieces: only the first piece that has the extreme is searched, while it is in the
// first-level cache or not far.
template <class T, template <class> class Functor>
RUSTTORCH_INLINE void extreme_row(T* value, int64_t* place, const T* in, int64_t size) {
  using C = Compute<T>;
  using V = Vec<C>;
  using F = Functor<V>;
  constexpr int64_t most = 4096;
  Extreme<C> best{F::worst, false};
  int64_t start = 0, length = size < most ? size : most;  // of the piece that has the best
  for (int64_t i = 0; i < size && !best.is_nan; i += most) {
    const int64_t count = size - i < most ? size - i : most;
    const Extreme<C> next = extreme_of<T, Functor>(in + i, count);
    if (next.is_nan || F::beats(next.value, best.value)) best = next, start = i, length = count;
  }
  if (!place) {
    V(best.is_nan ? std::numeric_limits<C>::quiet_NaN() : best.value).store(value, 1);
  } else {
    *place = start + first_place<T>(in + start, length, best);
    *value = in[*place];
  }
}

// The extremes of a row so far, and in which step they were met first: lane l of best[k] is element l + k * lanes of one.
// To search for a place afterwards, as extreme_row does, costs memory its pace: (4096, 4096) 3.3 ms over 2.5 on one thread.
template <class T, template <class> class Functor, bool with_places>
struct RunningExtremes {
  using C = Compute<T>;
  using V = Vec<C>;
  using F = Functor<V>;
  using Integer = PlaceInteger<C>;
  static constexpr int count = 4, step_size = count * V::lanes;
  V best[count], steps[count];
  Mask<C> nan = first_lanes<C>(0);

  RUSTTORCH_INLINE RunningExtremes() {
    for (int k = 0; k < count; ++k) best[k] = V(F::worst), steps[k] = V(C(0));
  }
  static RUSTTORCH_INLINE void take_step(const V (&x)[count], V step, V (&b)[count], V (&s)[count], Mask<C>& is_nan) {
    is_nan = is_nan | either_is_nan(x[0], x[1]) | either_is_nan(x[2], x[3]);
    for (int k = 0; k < count; ++k) {
      if constexpr (with_places) {
        const Mask<C> better = F::beats(x[k], b[k]);
        b[k] = select(better, x[k], b[k]);
        s[k] = select(better, step, s[k]);
      } else {
        b[k] = F::better(x[k], b[k]);
      }
    }
  }
  // Elements [i, end) of the row `in`; i is a multiple of step_size.
  RUSTTORCH_INLINE void take(const T* in, int64_t i, int64_t end) {
    V b[count], s[count];
    Mask<C> n = nan;
    for (int k = 0; k < count; ++k) b[k] = best[k];
    for (int k = 0; with_places && k < count; ++k) s[k] = steps[k];
    Vec<Integer> step(Integer(i / step_size));
    for (; i + step_size <= end; i += step_size) {
      V x[count];
      for (int k = 0; k < count; ++k) x[k] = V::load(in + i + k * V::lanes);
      take_step(x, from_bits(step), b, s, n);
      step = step + Vec<Integer>(1);
    }
    if (i < end) {
      V x[count];
      for (int k = 0; k < count; ++k) {
        const int64_t left = end - i - k * V::lanes, valid = left < 0 ? 0 : left < V::lanes ? left : V::lanes;
        x[k] = select(first_lanes<C>(valid), V::load(in + i + k * V::lanes, valid), V(F::worst));
      }
      take_step(x, from_bits(step), b, s, n);
    }
    nan = n;
    for (int k = 0; k < count; ++k) best[k] = b[k];
    for (int k = 0; with_places && k < count; ++k) steps[k] = s[k];
  }
  // False where there was a NaN.
  RUSTTORCH_INLINE bool write(T* value, int64_t* place, const T* in) const {
    if (any(nan)) return false;
    const C extreme = F::reduce(F::better(F::better(best[3], best[2]), F::better(best[1], best[0])));
    if constexpr (with_places) {
      alignas(64) C step_of[step_size];
      int64_t first = std::numeric_limits<int64_t>::max();
      for (int k = 0; k < count; ++k) steps[k].store(step_of + k * V::lanes);
      for (int k = 0; k < count; ++k) {
        for (Mask<C> found = best[k] == V(extreme); any(found);) {
          const int lane = first_set(found);
          const int64_t at = k * V::lanes + lane;
          const int64_t candidate = int64_t(std::bit_cast<Integer>(step_of[at])) * step_size + at;
          if (candidate < first) first = candidate;
          found = found & ~first_lanes<C>(lane + 1);
        }
      }
      *place = first;
      *value = in[first];
    } else {
      V(extreme).store(value, 1);
    }
    return true;
  }
};

// kReadStreams * apart rows, every apart-th of them at once. Not inlined: short rows need no such frame on the stack.
template <class T, template <class> class Functor, bool with_places>
__attribute__((noinline)) void extreme_streams(T* values, int64_t* places, const T* in, int64_t apart, int64_t size) {
  constexpr int64_t run = kReadRun<T>;
  for (int64_t row = 0; row < apart; ++row) {
    RunningExtremes<T, Functor, with_places> extremes[kReadStreams];
    for (int64_t i = 0; i < size; i += run) {
      const int64_t end = size - i < run ? size : i + run;
      for (int k = 0; k < kReadStreams; ++k) extremes[k].take(in + (row + k * apart) * size, i, end);
    }
    for (int k = 0; k < kReadStreams; ++k) {
      const int64_t at = row + k * apart;
      int64_t* const place = with_places ? places + at : nullptr;
      if (!extremes[k].write(values + at, place, in + at * size)) {
        extreme_row<T, Functor>(values + at, place, in + at * size, size);
      }
    }
  }
}

// Rows of `vectors` vectors, the last of which may be partial: they stay in registers until the place is found.
template <class T, template <class> class Functor, int vectors>
void extreme_short_rows(T* values, int64_t* places, const T* in, int64_t rows, int64_t size) {
  using C = Compute<T>;
  using V = Vec<C>;
  using F = Functor<V>;
  const int64_t whole = (vectors - 1) * V::lanes;
  const Mask<C> filled = first_lanes<C>(size - whole);
  for (int64_t row = 0; row < rows; ++row) {
    const T* const from = in + row * size;
    V x[vectors];
    for (int k = 0; k < vectors - 1; ++k) x[k] = V::load(from + k * V::lanes);
    x[vectors - 1] = select(filled, V::load(from + whole, size - whole), V(F::worst));
    Mask<C> nan = is_nan(x[vectors - 1]);
    for (int k = 0; k + 1 < vectors; k += 2) nan = nan | either_is_nan(x[k], x[k + 1]);
    V best = x[0];
    for (int k = 1; k < vectors; ++k) best = F::better(x[k], best);
    const C extreme = F::reduce(best);
    if (any(nan)) {
      extreme_row<T, Functor>(values + row, places ? places + row : nullptr, from, size);
    } else if (!places) {
      V(extreme).store(values + row, 1);
    } else {
      int64_t place = 0;
      for (int k = vectors - 1; k >= 0; --k) {
        const Mask<C> found = x[k] == V(extreme);
        if (any(found)) place = k * V::lanes + first_set(found);
      }
      places[row] = place;
      values[row] = from[place];
    }
  }
}

// values[rows], places[rows] (or null), in [rows][size], size > 0.
template <class T, template <class> class Functor>
void extreme_rows(void* values, int64_t* places, const void* in, int64_t rows, int64_t size, bool from_memory) {
  T* const to = static_cast<T*>(values);
  const T* const from = static_cast<const T*>(in);
  switch ((size - 1) / Vec<Compute<T>>::lanes) {
    case 0: return extreme_short_rows<T, Functor, 1>(to, places, from, rows, size);
    case 1: return extreme_short_rows<T, Functor, 2>(to, places, from, rows, size);
    case 2: return extreme_short_rows<T, Functor, 3>(to, places, from, rows, size);
    case 3: return extreme_short_rows<T, Functor, 4>(to, places, from, rows, size);
    case 4: return extreme_short_rows<T, Functor, 5>(to, places, from, rows, size);
    case 5: return extreme_short_rows<T, Functor, 6>(to, places, from, rows, size);
    case 6: return extreme_short_rows<T, Functor, 7>(to, places, from, rows, size);
    case 7: return extreme_short_rows<T, Functor, 8>(to, places, from, rows, size);
    default: break;
  }
  const int64_t apart = from_memory ? rows / kReadStreams : 0;
  if (places) extreme_streams<T, Functor, true>(to, places, from, apart, size);
  else extreme_streams<T, Functor, false>(to, places, from, apart, size);
  for (int64_t row = kReadStreams * apart; row < rows; ++row) {
    extreme_row<T, Functor>(to + row, places ? places + row : nullptr, from + row * size, size);
  }
}

// Columns go in strips, whose best rows so far wait on the stack, each place as the bits of a number of the same width.
inline constexpr int kExtremeStrip = 512;
template <class C>
struct ExtremeStrip {
  alignas(64) C best[kExtremeStrip], place[kExtremeStrip];
};

// `count` rows from `first` on, for the vector of columns at best_at: a row takes over where it beats the best. Several
// rows at once, because the best waits for its own store. A NaN never beats anything: `nan` tells whether there was one.
template <class T, template <class> class Functor, int count, bool with_places>
RUSTTORCH_INLINE void improve(Compute<T>* best_at, Compute<T>* place_at, const T* in, int64_t stride, int64_t first,
                              int64_t partial, Mask<Compute<T>>& nan) {
  using C = Compute<T>;
  using V = Vec<C>;
  V best = V::load(best_at), place = V::load(place_at);
  V rows[count];
  for (int k = 0; k < count; ++k) rows[k] = partial ? V::load(in + k * stride, partial) : V::load(in + k * stride);
  for (int k = 0; k + 1 < count; k += 2) nan = nan | either_is_nan(rows[k], rows[k + 1]);
  if constexpr (count % 2 == 1) nan = nan | is_nan(rows[count - 1]);
  for (int k = 0; k < count; ++k) {
    if constexpr (with_places) {
      const Mask<C> better = Functor<V>::beats(rows[k], best);
      best = select(better, rows[k], best);
      place = select(better, from_bits(Vec<PlaceInteger<C>>(PlaceInteger<C>(first + k))), place);
    } else {
      best = Functor<V>::better(rows[k], best);
    }
  }
  best.store(best_at);
  if constexpr (with_places) place.store(place_at);
}
template <class T, template <class> class Functor, int count, bool with_places>
RUSTTORCH_INLINE void improve_strip(ExtremeStrip<Compute<T>>& strip, const T* in, int64_t stride, int64_t first,
                                    int64_t width, Mask<Compute<T>>& nan) {
  constexpr int lanes = Vec<Compute<T>>::lanes;
  int64_t c = 0;
  for (; c + lanes <= width; c += lanes) {
    improve<T, Functor, count, with_places>(strip.best + c, strip.place + c, in + c, stride, first, 0, nan);
  }
  if (c < width) {
    improve<T, Functor, count, with_places>(strip.best + c, strip.place + c, in + c, stride, first, width - c, nan);
  }
}

// One strip of at most kExtremeStrip columns; true if no NaN was met, else the strip is worth nothing.
template <class T, template <class> class Functor, bool with_places>
bool extreme_strip(ExtremeStrip<Compute<T>>& strip, const T* in, int64_t size, int64_t width, int64_t stride) {
  using C = Compute<T>;
  using V = Vec<C>;
  Mask<C> nan = first_lanes<C>(0);
  for (int64_t c = 0; c < width; c += V::lanes) {
    const int64_t left = width - c;
    const V x = left < V::lanes ? V::load(in + c, left) : V::load(in + c);
    nan = nan | is_nan(x);
    x.store(strip.best + c);
    V(C(0)).store(strip.place + c);
  }
  int64_t row = 1;
  for (; row + 8 <= size; row += 8) {
    improve_strip<T, Functor, 8, with_places>(strip, in + row * stride, stride, row, width, nan);
  }
  if (row + 4 <= size) {
    improve_strip<T, Functor, 4, with_places>(strip, in + row * stride, stride, row, width, nan);
    row += 4;
  }
  if (row + 2 <= size) {
    improve_strip<T, Functor, 2, with_places>(strip, in + row * stride, stride, row, width, nan);
    row += 2;
  }
  if (row < size) improve_strip<T, Functor, 1, with_places>(strip, in + row * stride, stride, row, width, nan);
  return !any(nan);
}

// The same where NaNs are: the first one wins.
template <class T, template <class> class Functor>
void extreme_strip_with_nans(ExtremeStrip<Compute<T>>& strip, const T* in, int64_t size, int64_t width,
                             int64_t stride) {
  using C = Compute<T>;
  using V = Vec<C>;
  for (int64_t c = 0; c < width; c += V::lanes) {
    const int64_t partial = width - c < V::lanes ? width - c : V::lanes;
    V best = V::load(in + c, partial), place(C(0));
    for (int64_t row = 1; row < size; ++row) {
      const V x = V::load(in + row * stride + c, partial);
      const Mask<C> better = Functor<V>::beats(x, best) | (is_nan(x) & ~is_nan(best));
      best = select(better, x, best);
      place = select(better, from_bits(Vec<PlaceInteger<C>>(PlaceInteger<C>(row))), place);
    }
    best.store(strip.best + c);
    place.store(strip.place + c);
  }
}

// values[columns], places[columns] (or null), in [size][stride], 0 < size < 2^31.
template <class T, template <class> class Functor>
void extreme_columns(void* values, int64_t* places, const void* in, int64_t size, int64_t columns, int64_t stride) {
  using C = Compute<T>;
  using V = Vec<C>;
  ExtremeStrip<C> strip;
  for (int64_t first = 0; first < columns; first += kExtremeStrip) {
    const int64_t width = first + kExtremeStrip < columns ? kExtremeStrip : columns - first;
    const T* const from = static_cast<const T*>(in) + first;
    const bool numbers = places ? extreme_strip<T, Functor, true>(strip, from, size, width, stride)
                                : extreme_strip<T, Functor, false>(strip, from, size, width, stride);
    if (!numbers) extreme_strip_with_nans<T, Functor>(strip, from, size, width, stride);
    T* const to = static_cast<T*>(values) + first;
    for (int64_t c = 0; c < width; c += V::lanes) {
      const int64_t left = width - c < V::lanes ? width - c : V::lanes;
      if (left < V::lanes) V::load(strip.best + c).store(to + c, left);
      else V::load(strip.best + c).store(to + c);
    }
    if (!places) continue;
    for (int64_t c = 0; c < width; ++c) places[first + c] = std::bit_cast<PlaceInteger<C>>(strip.place[c]);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
