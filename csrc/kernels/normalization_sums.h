// The order of sums along a row: element i belongs to lane i mod 16, group i / 16 mod 16 and block i / 256. The groups of a
// block go to four chains, group by group, and those are added by halves, all in float: five roundings at most. Blocks are added
// in double, lane by lane, and the 16 lanes by halves. (double: 8 lanes, blocks of 128.)
// summation.h adds the lanes of each block of 128, which costs as much as loading and adding its elements.
#pragma once
#include "reduce_sums.h"

namespace rusttorch::RUSTTORCH_ISA {

struct LayerNorm {
  static constexpr bool centred = true;
};
struct RmsNorm {
  static constexpr bool centred = false;
};

inline constexpr int kRowGroups = 16, kRowChains = 4;
template <class C>
inline constexpr int kRowBlock = kRowGroups * kSumLanes<C>;

// The lanes of a sum over blocks.
template <class C>
struct LaneTotals {
  double values[kSumLanes<C>];
  RUSTTORCH_INLINE void clear() {
    for (int k = 0; k < kSumLanes<C>; ++k) values[k] = 0;
  }
  RUSTTORCH_INLINE void add(const C* lanes) {
    for (int k = 0; k < kSumLanes<C>; ++k) values[k] = values[k] + double(lanes[k]);
  }
  RUSTTORCH_INLINE double sum() const {
    double halves[kSumLanes<C> / 2];
    for (int k = 0; k < kSumLanes<C> / 2; ++k) halves[k] = values[k] + values[k + kSumLanes<C> / 2];
    for (int half = kSumLanes<C> / 4; half > 0; half /= 2) {
      for (int k = 0; k < half; ++k) halves[k] = halves[k] + halves[k + half];
    }
    return halves[0];
  }
};

// x - centre of a row, zeros behind its end.
template <class V>
struct Deviation {
  RUSTTORCH_INLINE V operator()(V x, V centre) const { return x - centre; }
};

// What is asked for of a sum of v and a sum of v^2.
struct RowSums {
  double sum, squares;
};
template <class V, bool sum_wanted, bool squares_wanted>
struct SumChains {
  V sum[kRowChains], squares[kRowChains];
  RUSTTORCH_INLINE void clear() {
    for (int k = 0; k < kRowChains; ++k) sum[k] = V(0), squares[k] = V(0);
  }
  RUSTTORCH_INLINE void add(int k, V v) {
    if constexpr (sum_wanted) sum[k] = sum[k] + v;
    if constexpr (squares_wanted) squares[k] = fma(v, v, squares[k]);
  }
};

template <class V, class Source>
RUSTTORCH_INLINE V value_before(const Source& source, int64_t i, int64_t end) {  // elements [i, end) of a vector from i
  const int64_t left = end - i;
  if (left >= V::lanes) return source.whole(i);
  return left > 0 ? source.part(i, left) : V(0);
}

// The sums over source(0) ... source(n - 1); a source as in summation.h.
template <class C, bool sum_wanted, bool squares_wanted, class Source>
RUSTTORCH_INLINE RowSums sums_of_row(const Source& source, int64_t n) {
  using V = Vec<C>;
  constexpr int lanes = kSumLanes<C>, step = kRowChains * lanes;
  LaneTotals<C> sum, squares;
  sum.clear();
  squares.clear();
  for (int64_t start = 0; start < n; start += kRowBlock<C>) {
    const int64_t end = start + kRowBlock<C> < n ? start + kRowBlock<C> : n;
    C sum_lanes[lanes], square_lanes[lanes];
    for (int p = 0; p < lanes; p += V::lanes) {
      SumChains<V, sum_wanted, squares_wanted> chains;
      chains.clear();
      int64_t i = start + p;
      for (; i - p + step <= end; i += step) {
        for (int k = 0; k < kRowChains; ++k) chains.add(k, source.whole(i + k * lanes));
      }
      if (i - p < end) {
        for (int k = 0; k < kRowChains; ++k) chains.add(k, value_before<V>(source, i + k * lanes, end));
      }
      const V(&s)[kRowChains] = chains.sum, (&q)[kRowChains] = chains.squares;
      if constexpr (sum_wanted) ((s[0] + s[2]) + (s[1] + s[3])).store(sum_lanes + p);
      if constexpr (squares_wanted) ((q[0] + q[2]) + (q[1] + q[3])).store(square_lanes + p);
    }
    if constexpr (sum_wanted) sum.add(sum_lanes);
    if constexpr (squares_wanted) squares.add(square_lanes);
  }
  return {sum_wanted ? sum.sum() : 0, squares_wanted ? squares.sum() : 0};
}

// An operand that may be missing: the array, or one value that is read again and again (step 0).
template <class P, int size>
RUSTTORCH_INLINE Stepped<P> array_or(const void* array, Repeated<P, size>& memory, Compute<P> value, int64_t n) {
  if (array) return {array, 1};
  return memory.fill(&value, kScalarStep, n);
}

}  // namespace rusttorch::RUSTTORCH_ISA
