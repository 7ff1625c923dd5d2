// The order in which floating-point numbers are added, the same everywhere: on every ISA, for any number of threads,
// and along rows and columns. Torch-free.
//
// float: a block of 128 elements, the last one filled up with zeros to 16, 32, 64 or 128, is halved until one is left:
// element i + element i + half. The first three halvings are in float, the others in double, and so are the blocks: 64
// of them to a piece, one after the other, and the pieces. An error is at most 3 * 2^-24 * sum(|x|), and that of
// rounding the result. Below, element i of a block belongs to group i / 16 and lane i mod 16: first the groups are
// added, then the lanes. double: the same in double, with 8 lanes, blocks of 64 and pieces of 4096.
#pragma once
#include <cstdint>

namespace rusttorch {

inline constexpr int kSumGroups = 8, kSumBlocks = 64;
template <class C>
inline constexpr int kSumLanes = 64 / int(sizeof(C));
template <class C>
inline constexpr int kSumBlock = kSumLanes<C> * kSumGroups;
// What one thread adds at once: pieces may be computed anywhere and are added in their order.
template <class C>
inline constexpr int64_t kSumPiece = int64_t(kSumBlock<C>) * kSumBlocks;
// Halvings of the lanes of a block that are in float, where `used` groups have elements.
template <class C, int used>
inline constexpr int kFloatHalvings = sizeof(C) == sizeof(double) || used > 4 ? 0
                                      : used > 2                              ? 1
                                      : used > 1                              ? 2
                                                                              : 3;

// The sum of n squares of deviations from `mean`, from that of deviations from its value rounded to C. -infinity for
// float where the deviations are below 6e-5 of the mean: the error of the mean itself, up to 3 * 2^-24, would cost the
// sum more than 1e-5 of its value, and that of its rounding all of it.
template <class C>
inline double squares_about(double mean, double squares, int64_t n) {
  const double error = mean - double(C(mean));
  if (sizeof(C) == sizeof(double) || (squares == 0 && error == 0)) return squares;
  return squares < double(n) * mean * mean * 0x1p-28 ? -__builtin_inf() : squares - double(n) * error * error;
}

}  // namespace rusttorch

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "map.h"

namespace rusttorch::RUSTTORCH_ISA {

// The groups of a lane by halves, of which the last 8 - used are missing: the same additions less those of zeros.
template <class V, int used>
RUSTTORCH_INLINE V add_groups(const V (&v)[used]) {
  if constexpr (used == 1) return v[0];
  if constexpr (used == 2) return v[0] + v[1];
  if constexpr (used == 3) return (v[0] + v[2]) + v[1];
  if constexpr (used == 4) return (v[0] + v[2]) + (v[1] + v[3]);
  if constexpr (used == 5) return ((v[0] + v[4]) + v[2]) + (v[1] + v[3]);
  if constexpr (used == 6) return ((v[0] + v[4]) + v[2]) + ((v[1] + v[5]) + v[3]);
  if constexpr (used == 7) return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + v[3]);
  if constexpr (used == 8) return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// The first n lanes of v, halved until `live` are left; the others are anything.
template <int n, int live, class V>
RUSTTORCH_INLINE V fold_lanes(V v) {
  if constexpr (n > live) return fold_lanes<n / 2, live>(add_halves<n>(v));
  else return v;
}
// A source of elements has
//   V whole(i)      the values of elements [i, i + lanes)
//   V part(i, n)    the first n of them, zeros after those
// The block at i of elements up to `end`, of which groups [0, used) exist and [0, known) are whole: its lanes in
// double, added by halves until they fill one vector or less, then zeros; reduce_add goes on.
template <class C, int used, int known, class Source>
RUSTTORCH_INLINE Vec<double> lanes_of_block(const Source& source, int64_t i, int64_t end) {
  using V = Vec<C>;
  using D = Vec<double>;
  constexpr int each = V::lanes / D::lanes, live = kSumLanes<C> >> kFloatHalvings<C, used>;
  constexpr int vectors = live > V::lanes ? live / V::lanes : 1;  // that are left in float
  V lanes[kSumLanes<C> / V::lanes];
  for (int p = 0; p < kSumLanes<C> / V::lanes; ++p) {
    V groups[used];
    for (int g = 0; g < used; ++g) {
      const int64_t first = i + g * kSumLanes<C> + p * V::lanes, left = end - first;
      groups[g] = g < known || left >= V::lanes ? source.whole(first) : left > 0 ? source.part(first, left) : V(C(0));
      read_now(groups[g]);
    }
    lanes[p] = add_groups(groups);
  }
  for (int half = kSumLanes<C> / V::lanes / 2; half >= vectors; half /= 2) {
    for (int k = 0; k < half; ++k) lanes[k] = lanes[k] + lanes[k + half];
  }
  if constexpr (live < V::lanes) lanes[0] = fold_lanes<V::lanes, live>(lanes[0]);
  D sums[vectors * each];
  for (int p = 0; p < vectors; ++p) {
    D parts[each];
    to_doubles(lanes[p], parts);
    for (int k = 0; k < each; ++k) sums[p * each + k] = parts[k];
  }
  for (int half = live / D::lanes / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; ++k) sums[k] = sums[k] + sums[k + half];
  }
  if constexpr (live < D::lanes) return select(first_lanes<double>(live), sums[0], D(0.0));
  else return sums[0];
}
template <class C, class Source>
RUSTTORCH_INLINE Vec<double> lanes_of_whole_block(const Source& source, int64_t i) {
  return lanes_of_block<C, kSumGroups, kSumGroups>(source, i, i);
}
template <class C, class Source>
Vec<double> lanes_of_last_block(const Source& source, int64_t i, int64_t end) {
  if constexpr (sizeof(C) < sizeof(double)) {
    if (end - i <= kSumLanes<C>) return lanes_of_block<C, 1, 0>(source, i, end);
    if (end - i <= 2 * kSumLanes<C>) return lanes_of_block<C, 2, 0>(source, i, end);
    if (end - i <= 4 * kSumLanes<C>) return lanes_of_block<C, 4, 0>(source, i, end);
  }
  return lanes_of_block<C, kSumGroups, 0>(source, i, end);
}

// Whether several blocks are added up to their lanes, which then are added together: in fewer instructions where there is
// room in registers for so many vectors and those of the terms.
template <class Source>
inline constexpr bool kManyBlocks = Vec<double>::lanes >= 4 && requires { Source::has_short_terms; };

// Elements [i, end), at most a piece, after what gave `piece`.
template <class C, class Source>
RUSTTORCH_INLINE double sum_of_piece(const Source& source, int64_t i, int64_t end, double piece = 0) {
  if constexpr (kManyBlocks<Source>) {
    constexpr int many = Vec<double>::lanes;
    for (; i + many * kSumBlock<C> <= end; i += many * kSumBlock<C>) {
      Vec<double> lanes[many];
#pragma GCC unroll 8
      for (int k = 0; k < many; ++k) lanes[k] = lanes_of_whole_block<C>(source, i + k * kSumBlock<C>);
      double blocks[many];
      reduce_add_rows(lanes).store(blocks);
      for (int k = 0; k < many; ++k) piece += blocks[k];
    }
  }
  for (; i + kSumBlock<C> <= end; i += kSumBlock<C>) piece += reduce_add(lanes_of_whole_block<C>(source, i));
  if (i < end) piece += reduce_add(lanes_of_last_block<C>(source, i, end));
  return piece;
}
// n elements from `first` on.
template <class C, class Source>
RUSTTORCH_INLINE double ordered_sum(const Source& source, int64_t n, int64_t first = 0) {
  double total = 0;
  for (int64_t start = 0; start < n; start += kSumPiece<C>) {
    const int64_t end = start + kSumPiece<C> < n ? start + kSumPiece<C> : n;
    total += sum_of_piece<C>(source, first + start, first + end);
  }
  return total;
}

// Adds to pieces[kReadStreams] the blocks of kReadStreams rows, `step` apart, that a run from element i on has.
template <class C, class Source>
RUSTTORCH_INLINE void add_runs(const Source& source, int64_t i, int64_t step, double (&pieces)[kReadStreams]) {
  constexpr int blocks_of_run = kReadRun<C> / kSumBlock<C>, count = kReadStreams * blocks_of_run;
  if constexpr (requires { Source::has_short_terms; } && Vec<double>::lanes > 1) {
    constexpr int many = Vec<double>::lanes;
    double blocks[count];
    for (int first = 0; first < count; first += many) {
      Vec<double> lanes[many];
#pragma GCC unroll 8
      for (int k = 0; k < many; ++k) {
        const int row = (first + k) / blocks_of_run, block = (first + k) % blocks_of_run;
        lanes[k] = lanes_of_whole_block<C>(source, i + row * step + block * kSumBlock<C>);
      }
      reduce_add_rows(lanes).store(blocks + first);
    }
    for (int k = 0; k < count; ++k) pieces[k / blocks_of_run] += blocks[k];
  } else {
    for (int row = 0; row < kReadStreams; ++row) {
      for (int block = 0; block < blocks_of_run; ++block) {
        pieces[row] += reduce_add(lanes_of_whole_block<C>(source, i + row * step + block * kSumBlock<C>));
      }
    }
  }
}

// sums[row] of `rows` adjacent rows of `size` elements, with the additions of ordered_sum.
template <class C, class Source>
RUSTTORCH_INLINE void sums_of_rows(const Source& source, int64_t rows, int64_t size, bool from_memory, double* sums) {
  const int64_t apart = from_memory ? rows / kReadStreams : 0, step = apart * size;
  for (int64_t row = 0; row < apart; ++row) {
    double totals[kReadStreams] = {};
    for (int64_t start = 0; start < size; start += kSumPiece<C>) {
      const int64_t end = start + kSumPiece<C> < size ? start + kSumPiece<C> : size;
      double pieces[kReadStreams] = {};
      int64_t i = start;
      for (; i + kReadRun<C> <= end; i += kReadRun<C>) add_runs<C>(source, row * size + i, step, pieces);
      for (int k = 0; k < kReadStreams; ++k) {
        const int64_t at = row * size + k * step;
        totals[k] += i < end ? sum_of_piece<C>(source, at + i, at + end, pieces[k]) : pieces[k];
      }
    }
    for (int k = 0; k < kReadStreams; ++k) sums[row + k * apart] = totals[k];
  }
  for (int64_t row = kReadStreams * apart; row < rows; ++row) sums[row] = ordered_sum<C>(source, size, row * size);
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
