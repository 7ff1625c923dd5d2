// Elements that equal their extreme: how many there are, and what each gets. The gradient of max, min, amax and amin, of
// float and double. Included by reduce.h.
#pragma once
#include "map.h"

namespace rusttorch::RUSTTORCH_ISA {

// A NaN equals a NaN where `by_nan` says so.
template <bool by_nan, class V>
RUSTTORCH_INLINE Mask<Lane<V>> is_equal(V x, V value) {
  if constexpr (by_nan) return is_nan(x);
  else return x == value;
}

template <bool by_nan, class T>
RUSTTORCH_INLINE int64_t count_in_row(const T* in, T value, int64_t size) {
  using V = Vec<T>;
  constexpr int64_t most = int64_t(1) << 20;  // that lanes of float count exactly
  const V zero(T(0)), one(T(1));
  int64_t total = 0;
  for (int64_t start = 0; start < size; start += most) {
    const int64_t end = start + most < size ? start + most : size;
    V counts[2] = {zero, zero};
    int64_t i = start;
    for (; i + 2 * V::lanes <= end; i += 2 * V::lanes) {
      for (int k = 0; k < 2; ++k) {
        counts[k] = counts[k] + select(is_equal<by_nan>(V::load(in + i + k * V::lanes), V(value)), one, zero);
      }
    }
    for (; i < end; i += V::lanes) {
      const int64_t n = end - i < V::lanes ? end - i : V::lanes;
      const Mask<T> equal = is_equal<by_nan>(V::load(in + i, n), V(value)) & first_lanes<T>(n);
      counts[0] = counts[0] + select(equal, one, zero);
    }
    total += int64_t(reduce_add(counts[0] + counts[1]));
  }
  return total;
}
// counts[rows], in [rows][size]: elements that equal values[row]; a NaN equals a NaN if `nan_is_equal`.
template <class T>
void count_equal(int64_t* counts, const void* in, const void* values, int64_t rows, int64_t size, bool nan_is_equal) {
  for (int64_t row = 0; row < rows; ++row) {
    const T* const from = static_cast<const T*>(in) + row * size;
    const T value = static_cast<const T*>(values)[row];
    const bool by_nan = nan_is_equal && value != value;
    counts[row] = by_nan ? count_in_row<true>(from, value, size) : count_in_row<false>(from, value, size);
  }
}

template <bool by_nan, class T>
struct ShareBody {
  using V = Vec<T>;
  T* out;
  const T* in;
  V value, share, rest;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V x[count];
    load_block(in + i, x);
    for (int k = 0; k < count; ++k) x[k] = select(is_equal<by_nan>(x[k], value), share, rest);
    store_block(out + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    select(is_equal<by_nan>(V::load(in + i, n), value), share, rest).store(out + i, n);
  }
};
template <bool by_nan, class T>
RUSTTORCH_INLINE void share_row(T* out, const T* in, T value, T share, T rest, int64_t size) {
  using V = Vec<T>;
  const ShareBody<by_nan, T> body{out, in, V(value), V(share), V(rest)};
  for_each_vector<2, V::lanes>(size, body);
}
// out[rows][size]: shares[row] for the elements that are counted, rests[row] for the others.
template <class T>
void share_equal(void* out, const void* in, const void* values, const void* shares, const void* rests, int64_t rows,
                 int64_t size, bool nan_is_equal) {
  for (int64_t row = 0; row < rows; ++row) {
    T* const to = static_cast<T*>(out) + row * size;
    const T* const from = static_cast<const T*>(in) + row * size;
    const T value = static_cast<const T*>(values)[row], share = static_cast<const T*>(shares)[row];
    const T rest = static_cast<const T*>(rests)[row];
    if (nan_is_equal && value != value) share_row<true>(to, from, value, share, rest, size);
    else share_row<false>(to, from, value, share, rest, size);
  }
}

template <class T>
struct CountColumnsBody {
  using V = Vec<T>;
  T* counts;
  const T *in, *values;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V x[count], value[count], total[count];
    load_block(in + i, x);
    load_block(values + i, value);
    load_block(counts + i, total);
    for (int k = 0; k < count; ++k) total[k] = total[k] + select(x[k] == value[k], V(T(1)), V(T(0)));
    store_block(counts + i, total);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    const Mask<T> equal = V::load(in + i, n) == V::load(values + i, n);
    (V::load(counts + i, n) + select(equal, V(T(1)), V(T(0)))).store(counts + i, n);
  }
};
template <class T>
struct ShareColumnsBody {
  using V = Vec<T>;
  T* out;
  const T *in, *values, *shares, *rests;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V x[count], value[count], share[count], rest[count];
    load_block(in + i, x);
    load_block(values + i, value);
    load_block(shares + i, share);
    load_block(rests + i, rest);
    for (int k = 0; k < count; ++k) x[k] = select(x[k] == value[k], share[k], rest[k]);
    store_block(out + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    const Mask<T> equal = V::load(in + i, n) == V::load(values + i, n);
    select(equal, V::load(shares + i, n), V::load(rests + i, n)).store(out + i, n);
  }
};
// counts[columns] += the elements of each column that equal values[column]. in [size][columns], rows `stride` apart.
template <class T>
void count_equal_columns(void* counts, const void* in, const void* values, int64_t size, int64_t columns,
                         int64_t stride) {
  for (int64_t row = 0; row < size; ++row) {
    const CountColumnsBody<T> body{static_cast<T*>(counts), static_cast<const T*>(in) + row * stride,
                                   static_cast<const T*>(values)};
    for_each_vector<2, Vec<T>::lanes>(columns, body);
  }
}
template <class T>
void share_equal_columns(void* out, const void* in, const void* values, const void* shares, const void* rests,
                         int64_t size, int64_t columns, int64_t stride) {
  for (int64_t row = 0; row < size; ++row) {
    const ShareColumnsBody<T> body{static_cast<T*>(out) + row * stride, static_cast<const T*>(in) + row * stride,
                                   static_cast<const T*>(values), static_cast<const T*>(shares),
                                   static_cast<const T*>(rests)};
    for_each_vector<2, Vec<T>::lanes>(columns, body);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
