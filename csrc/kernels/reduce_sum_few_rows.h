// Sums down columns of up to 32 rows, in the order of summation.h, in registers. Included by reduce_sum_columns.h.
#pragma once
#include "reduce_sums.h"

namespace rusttorch::RUSTTORCH_ISA {

// A vector of columns in double.
template <class V>
struct Doubles {
  static constexpr int each = Vec<double>::lanes, count = V::lanes / each;
  Vec<double> part[count];

  static RUSTTORCH_INLINE Doubles of(V v) {
    Doubles result;
    to_doubles(v, result.part);
    return result;
  }
  static RUSTTORCH_INLINE Doubles load(const double* p) {
    Doubles result;
    for (int k = 0; k < count; ++k) result.part[k] = Vec<double>::load(p + k * each);
    return result;
  }
  RUSTTORCH_INLINE void store(double* p) const {
    for (int k = 0; k < count; ++k) part[k].store(p + k * each);
  }
  RUSTTORCH_INLINE void store(double* p, int64_t n) const {
    for (int k = 0; k < count; ++k) {
      const int64_t left = n - k * each;
      if (left > 0) part[k].store(p + k * each, left < each ? left : each);
    }
  }
  RUSTTORCH_INLINE Doubles operator+(Doubles other) const {
    Doubles result;
    for (int k = 0; k < count; ++k) result.part[k] = part[k] + other.part[k];
    return result;
  }
};

template <class Term, class C>
RUSTTORCH_INLINE Vec<C> load_centre(const C* centre) {
  if constexpr (Term::has_centre) return Vec<C>::load(centre);
  else return Vec<C>(C(0));
}
template <class T>
RUSTTORCH_INLINE Vec<Compute<T>> load_columns(const T* from, int64_t partial) {  // partial: how many, 0 for all
  return partial ? Vec<Compute<T>>::load(from, partial) : Vec<Compute<T>>::load(from);
}

// Columns of up to two groups, everything in registers, where the steps of a block would have three partial sums wait:
// (9, 100000) and (16, 100000) took 1.4 and 1.1 times as long that way, but (64, 4096) 0.8 times. `most`: the number of
// rows, at most 8, or 16 or 32 for 9 rows to as many. Lanes without a row are left out.
template <class T, int most, class Term>
RUSTTORCH_INLINE Vec<Compute<T>> lane_of_few_rows(const T* in, int64_t lane, int64_t rows, int64_t stride,
                                                  Vec<Compute<T>> centre, int64_t partial) {
  constexpr int lanes = kSumLanes<Compute<T>>;
  const Vec<Compute<T>> low = Term()(load_columns(in + lane * stride, partial), centre);
  if (most <= lanes || lane + lanes >= rows) return low;
  return low + Term()(load_columns(in + (lane + lanes) * stride, partial), centre);
}
template <class T, int most, class Term>
RUSTTORCH_INLINE Doubles<Vec<Compute<T>>> sum_of_few_rows(const T* in, int64_t rows, int64_t stride,
                                                          Vec<Compute<T>> centre, int64_t partial) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int lanes = kSumLanes<C>, half = lanes / 2, used = most < half ? most : half;
  // Lanes that are left in double; of a double, nothing needs to be converted before the end.
  constexpr int halvings = kFloatHalvings < C, most <= lanes ? 1 : 2 > ;
  constexpr int live = sizeof(C) == sizeof(double) ? 1 : lanes >> halvings;
  constexpr int converted = live < used ? live : used;
  V sums[used];
#pragma GCC unroll 8
  for (int k = 0; k < used; ++k) {
    sums[k] = lane_of_few_rows<T, most, Term>(in, k, rows, stride, centre, partial);
    if (k + half < (most <= 8 ? most : rows)) {
      sums[k] = sums[k] + lane_of_few_rows<T, most, Term>(in, k + half, rows, stride, centre, partial);
    }
  }
#pragma GCC unroll 4
  for (int step = half / 2; step >= live; step /= 2) {
#pragma GCC unroll 4
    for (int k = 0; k < step; ++k) {
      if (k + step < used) sums[k] = sums[k] + sums[k + step];
    }
  }
  Doubles<V> rest[converted];
  for (int k = 0; k < converted; ++k) rest[k] = Doubles<V>::of(sums[k]);
  for (int step = converted / 2; step > 0; step /= 2) {
    for (int k = 0; k < step; ++k) rest[k] = rest[k] + rest[k + step];
  }
  return Doubles<V>::of(V(0)) + rest[0];  // as the sum of one block: no -0
}
template <class T, int most, class Term>
void sum_few_rows_of(double* out, const Compute<T>* centre, const T* in, int64_t rows, int64_t columns,
                     int64_t stride) {
  using V = Vec<Compute<T>>;
  int64_t c = 0;
  for (; c + V::lanes <= columns; c += V::lanes) {
    sum_of_few_rows<T, most, Term>(in + c, rows, stride, load_centre<Term>(centre + c), 0).store(out + c);
  }
  if (c < columns) {
    const int64_t left = columns - c;
    sum_of_few_rows<T, most, Term>(in + c, rows, stride, load_centre<Term>(centre + c), left).store(out + c, left);
  }
}
// Rows that all fall into one set of the first-level cache, which has 8 ways or more, are copied, few columns at a
// time.
template <class T, int most, class Term>
void sum_copied_rows(double* out, const Compute<T>* centre, const T* in, int64_t rows, int64_t columns,
                     int64_t stride) {
  constexpr int64_t width = 256 / int64_t(sizeof(T));
  alignas(64) T copy[most * width];
  for (int64_t first = 0; first < columns; first += width) {
    const int64_t n = first + width < columns ? width : columns - first;
    for (int64_t row = 0; row < rows; ++row) {
      const T* const from = in + row * stride + first;
      if (n == width) __builtin_memcpy(copy + row * width, from, 256);
      else __builtin_memcpy(copy + row * width, from, n * sizeof(T));
    }
    sum_few_rows_of<T, most, Term>(out + first, centre + first, copy, rows, n, width);
  }
}
template <class T, class Term>
void sum_few_rows(double* out, const Compute<T>* centre, const T* in, int64_t rows, int64_t columns, int64_t stride) {
  switch (rows) {
    case 1: return sum_few_rows_of<T, 1, Term>(out, centre, in, rows, columns, stride);
    case 2: return sum_few_rows_of<T, 2, Term>(out, centre, in, rows, columns, stride);
    case 3: return sum_few_rows_of<T, 3, Term>(out, centre, in, rows, columns, stride);
    case 4: return sum_few_rows_of<T, 4, Term>(out, centre, in, rows, columns, stride);
    case 5: return sum_few_rows_of<T, 5, Term>(out, centre, in, rows, columns, stride);
    case 6: return sum_few_rows_of<T, 6, Term>(out, centre, in, rows, columns, stride);
    case 7: return sum_few_rows_of<T, 7, Term>(out, centre, in, rows, columns, stride);
    case 8: return sum_few_rows_of<T, 8, Term>(out, centre, in, rows, columns, stride);
    default: break;
  }
  // (9, 4096) took 9 us where it is; (12, 4096) 16, by the steps of a block 14; (32, 4096) 63 and 20.
  const bool one_set = rows > 10 && stride * int64_t(sizeof(T)) % 4096 == 0;
  if (rows <= 16) {
    if (one_set) return sum_copied_rows<T, 16, Term>(out, centre, in, rows, columns, stride);
    return sum_few_rows_of<T, 16, Term>(out, centre, in, rows, columns, stride);
  }
  if constexpr (2 * kSumLanes<Compute<T>> > 16) {
    if (one_set) return sum_copied_rows<T, 32, Term>(out, centre, in, rows, columns, stride);
    return sum_few_rows_of<T, 32, Term>(out, centre, in, rows, columns, stride);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
