// Sums down columns, in the order of summation.h: a column gives the bits of a row of the same values. Included by
// reduce.h.
//
// A strip of columns goes through a whole block of 128 rows in the order of the rows (add_block_by_rows), and adds up
// to 32 rows in registers (sum_few_rows). Between these, an incomplete block takes eight steps, each of two lanes, k
// and k + 8: 16 rows at once. The lanes are added by halves as soon as both halves are there, so three partial sums per
// column wait on the stack; steps in the order 0, 4, 2, 6, 1, 5, 3, 7 make that possible.
#pragma once
#include "reduce_sum_few_rows.h"

namespace rusttorch::RUSTTORCH_ISA {

inline constexpr int kSumStrip = 512;
// So few columns, and no others between the rows: then a block is one array without gaps, see add_narrow_block.
inline constexpr int kNarrow = 32;
// Columns at a time of add_block_by_rows.
inline constexpr int kRowOrderColumns = 256;
inline constexpr int64_t kFarBytes = 8 << 20;  // of a matrix that is not taken to be in a cache
template <class C>
struct StripState {
  alignas(64) double sums[4][kSumStrip];  // the blocks of a piece so far, and partial sums of the next one
  alignas(64) C centre[kSumStrip];
  alignas(64) C centres[kSumLanes<C> * kNarrow];        // of a narrow matrix: the same for a row of each lane
  alignas(64) C lanes[kSumLanes<C>][kRowOrderColumns];  // of a block in the order of its rows
  alignas(64) double narrow[kSumLanes<C> / 2 * kNarrow + Vec<double>::lanes];
};

// The sum of `used` rows that are `step` apart, 0 to 8 groups of a lane.
template <class T, int used, class Term>
RUSTTORCH_INLINE Vec<Compute<T>> sum_of_lane(const T* in, int64_t step, Vec<Compute<T>> centre, int64_t partial) {
  using V = Vec<Compute<T>>;
  if constexpr (used == 0) {
    return V(0);
  } else {
    V groups[used];
    for (int g = 0; g < used; ++g) groups[g] = Term()(load_columns(in + g * step, partial), centre);
    return add_groups(groups);
  }
}

// Two lanes, the first of them at `in`, of one vector of columns; their sum is in float if `short_block`. Level 0 to
// depth - 1 are filled; the sum is added to the last `merges` of them, the latest first, and takes the place of the
// earliest.
template <class T, int first, int second, int vectors, class Term>
RUSTTORCH_INLINE void add_pair_of_columns(StripState<Compute<T>>& state, const T* in, int64_t stride, int64_t column,
                                          int64_t partial, int depth, int merges, bool short_block) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int lanes = kSumLanes<C>;
  Doubles<V> sums[vectors];
  for (int v = 0; v < vectors; ++v) {
    const int64_t at = column + v * V::lanes;
    const V centre = load_centre<Term>(state.centre + at);
    const T* const high = in + lanes / 2 * stride + at;
    const V x = sum_of_lane<T, first, Term>(in + at, lanes * stride, centre, partial);
    const V y = sum_of_lane<T, second, Term>(high, lanes * stride, centre, partial);
    // An incomplete block of more than half of kSumBlock rows has 8 groups or more, others 8 or less.
    const bool in_float = first + second < 8 || (first + second == 8 && short_block);
    sums[v] = in_float ? Doubles<V>::of(x + y) : Doubles<V>::of(x) + Doubles<V>::of(y);
  }
  for (int k = 0; k < merges; ++k) {
    --depth;
    for (int v = 0; v < vectors; ++v) sums[v] = Doubles<V>::load(state.sums[depth] + column + v * V::lanes) + sums[v];
  }
  for (int v = 0; v < vectors; ++v) sums[v].store(state.sums[depth] + column + v * V::lanes);
}
template <class T, int groups, class Term>  // of both lanes together
void add_pair(StripState<Compute<T>>& state, const T* in, int64_t stride, int64_t columns, int depth, int merges,
              bool short_block) {
  constexpr int lanes = Vec<Compute<T>>::lanes, first = (groups + 1) / 2, second = groups / 2;
  constexpr int vectors = lanes * int(sizeof(T)) <= 32 ? 2 : 1;
  int64_t column = 0;
  for (; column + vectors * lanes <= columns; column += vectors * lanes) {
    add_pair_of_columns<T, first, second, vectors, Term>(state, in, stride, column, 0, depth, merges, short_block);
  }
  for (; column + lanes <= columns; column += lanes) {
    add_pair_of_columns<T, first, second, 1, Term>(state, in, stride, column, 0, depth, merges, short_block);
  }
  if (column < columns) {
    add_pair_of_columns<T, first, second, 1, Term>(state, in, stride, column, columns - column, depth, merges,
                                                   short_block);
  }
}

// Adds the columns of one incomplete block of `rows` rows to state.sums[0].
template <class T, class Term>
void add_block_of_columns(StripState<Compute<T>>& state, const T* in, int64_t rows, int64_t columns, int64_t stride) {
  constexpr int lanes = kSumLanes<Compute<T>>, half = lanes / 2;
  const bool is_short = rows <= 4 * lanes;  // in double it makes no difference
  for (int step = 0; step < half; ++step) {
    int k = 0;
    for (int bit = 1; bit < half; bit *= 2) k = 2 * k + (step & bit ? 1 : 0);
    const int groups = int((rows - k + half - 1) / half);  // 0 and less: no such rows
    const int depth = 1 + __builtin_popcount(unsigned(step));
    const int merges = step == half - 1 ? depth : __builtin_ctz(~unsigned(step));
    const T* const from = in + k * stride;
    switch (rows > k ? groups : 0) {
      case 0: add_pair<T, 0, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 1: add_pair<T, 1, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 2: add_pair<T, 2, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 3: add_pair<T, 3, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 4: add_pair<T, 4, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 5: add_pair<T, 5, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 6: add_pair<T, 6, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 7: add_pair<T, 7, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 8: add_pair<T, 8, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 9: add_pair<T, 9, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 10: add_pair<T, 10, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 11: add_pair<T, 11, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 12: add_pair<T, 12, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 13: add_pair<T, 13, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 14: add_pair<T, 14, Term>(state, from, stride, columns, depth, merges, is_short); break;
      case 15: add_pair<T, 15, Term>(state, from, stride, columns, depth, merges, is_short); break;
      default: add_pair<T, 16, Term>(state, from, stride, columns, depth, merges, is_short); break;
    }
  }
}

// A whole block in the order of its rows, four groups at once: the even ones, then the odd ones. All eight, as the
// steps above read them, are in one set of the first-level cache where the row length is a power of two: (1024, 1024)
// takes 300 us that way, 100 this way; four times two groups 125. Of other lengths, both take as long. From memory
// (is_far) the next rows are fetched: (4096, 4096) 6.6 ms, 8.7 without.
template <class T, bool odd, class Term>
RUSTTORCH_INLINE void add_half_of_lane(Compute<T>* lane, const T* in, int64_t step, Vec<Compute<T>> centre,
                                       int64_t partial) {
  Vec<Compute<T>> sum = sum_of_lane<T, kSumGroups / 2, Term>(in, step, centre, partial);
  if constexpr (odd) sum = Vec<Compute<T>>::load(lane) + sum;
  sum.store(lane);
}
template <class T, bool odd, class Term>
RUSTTORCH_INLINE void add_groups_by_rows(StripState<Compute<T>>& state, const T* in, int64_t columns, int64_t stride,
                                         const Compute<T>* centres, bool is_far) {
  using C = Compute<T>;
  constexpr int lanes = Vec<C>::lanes;
  const int64_t step = 2 * kSumLanes<C> * stride;
  for (int k = 0; k < kSumLanes<C>; ++k) {
    const T* const row = in + (odd ? kSumLanes<C> + k : k) * stride;
    C* const to = state.lanes[k];
    int64_t c = 0;
    for (; c + lanes <= columns; c += lanes) {
      for (int g = 0; is_far && g < kSumGroups / 2; ++g) __builtin_prefetch(row + stride + g * step + c);
      add_half_of_lane<T, odd, Term>(to + c, row + c, step, load_centre<Term>(centres + c), 0);
    }
    if (c < columns) {
      add_half_of_lane<T, odd, Term>(to + c, row + c, step, load_centre<Term>(centres + c), columns - c);
    }
  }
}
template <class T, class Term>
void add_block_by_rows(StripState<Compute<T>>& state, const T* in, int64_t columns, int64_t stride, bool is_far) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int half = kSumLanes<C> / 2;
  for (int64_t first = 0; first < columns; first += kRowOrderColumns) {
    const int64_t width = columns - first < kRowOrderColumns ? columns - first : kRowOrderColumns;
    const C* const centres = state.centre + first;
    add_groups_by_rows<T, false, Term>(state, in + first, width, stride, centres, is_far);
    add_groups_by_rows<T, true, Term>(state, in + first, width, stride, centres, is_far);
    for (int64_t c = 0; c < width; c += V::lanes) {
      Doubles<V> sums[half];
#pragma GCC unroll 8
      for (int k = 0; k < half; ++k) {
        sums[k] = Doubles<V>::of(V::load(state.lanes[k] + c)) + Doubles<V>::of(V::load(state.lanes[k + half] + c));
      }
#pragma GCC unroll 4
      for (int step = half / 2; step > 0; step /= 2) {
#pragma GCC unroll 4
        for (int k = 0; k < step; ++k) sums[k] = sums[k] + sums[k + step];
      }
      double* const piece = state.sums[0] + first + c;
      (Doubles<V>::load(piece) + sums[0]).store(piece);
    }
  }
}

// The same for a whole block without gaps: [8 groups][16 lanes][columns]. What holds for lanes of rows holds for whole
// vectors of it, however few columns there are.
template <class T, class Term>
void add_narrow_block(StripState<Compute<T>>& state, const T* in, int64_t columns) {
  using C = Compute<T>;
  using V = Vec<C>;
  const int64_t group = kSumLanes<C> * columns, half = group / 2;
  double* const sums = state.narrow;
  for (int64_t i = 0; i < half; i += V::lanes) {
    const int64_t at = i + V::lanes <= half ? i : half - V::lanes;  // the last vector may repeat some elements
    const V low = sum_of_lane<T, kSumGroups, Term>(in + at, group, load_centre<Term>(state.centres + at), 0);
    const V high =
        sum_of_lane<T, kSumGroups, Term>(in + half + at, group, load_centre<Term>(state.centres + half + at), 0);
    (Doubles<V>::of(low) + Doubles<V>::of(high)).store(sums + at);
  }
  using D = Vec<double>;
  for (int64_t n = half / 2; n >= columns; n /= 2) {  // past n: what is written there has been read
    for (int64_t i = 0; i < n; i += D::lanes) (D::load(sums + i) + D::load(sums + n + i)).store(sums + i);
  }
  for (int64_t c = 0; c < columns; ++c) state.sums[0][c] = state.sums[0][c] + sums[c];
}

// out[columns] = the sums down in[size][stride]; at most kSumStrip columns.
template <class T, class Term>
void sum_strip(double* out, StripState<Compute<T>>& state, const T* in, int64_t size, int64_t columns, int64_t stride) {
  using C = Compute<T>;
  constexpr int64_t few = 2 * kSumLanes<C>;
  if (size <= few) return sum_few_rows<T, Term>(out, state.centre, in, size, columns, stride);
  const bool is_far = size * stride * int64_t(sizeof(T)) > kFarBytes;
  const bool narrow = columns == stride && columns > 1 && columns <= kNarrow && size >= kSumBlock<C>;
  if (narrow && Term::has_centre) {
    for (int64_t lane = 0; lane < kSumLanes<C>; ++lane) {
      for (int64_t c = 0; c < columns; ++c) state.centres[lane * columns + c] = state.centre[c];
    }
  }
  for (int64_t c = 0; c < columns; ++c) out[c] = 0;
  for (int64_t start = 0; start < size; start += kSumPiece<C>) {
    const int64_t end = start + kSumPiece<C> < size ? start + kSumPiece<C> : size;
    for (int64_t c = 0; c < columns; ++c) state.sums[0][c] = 0;
    for (int64_t row = start; row < end; row += kSumBlock<C>) {
      const int64_t rows = row + kSumBlock<C> < end ? kSumBlock<C> : end - row;
      const bool whole = rows == kSumBlock<C>;
      const T* const block = in + row * stride;
      if (narrow && whole) {
        add_narrow_block<T, Term>(state, block, columns);
      } else if (whole) {
        add_block_by_rows<T, Term>(state, block, columns, stride, is_far);
      } else if (rows > few) {
        add_block_of_columns<T, Term>(state, block, rows, columns, stride);
      } else {
        sum_few_rows<T, Term>(state.sums[1], state.centre, block, rows, columns, stride);
        for (int64_t c = 0; c < columns; ++c) state.sums[0][c] = state.sums[0][c] + state.sums[1][c];
      }
    }
    for (int64_t c = 0; c < columns; ++c) out[c] = out[c] + state.sums[0][c];
  }
}
template <class C>
RUSTTORCH_INLINE void set_centres(StripState<C>& state, const double* mean, int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) state.centre[c] = C(mean[c]);
  for (int64_t c = columns; c % Vec<C>::lanes != 0; ++c) state.centre[c] = C(0);  // of the last vector
}

// out[columns], in [size][stride].
template <class T>
void sum_columns(double* out, const void* in, int64_t size, int64_t columns, int64_t stride) {
  using C = Compute<T>;
  StripState<C> state;
  for (int64_t first = 0; first < columns; first += kSumStrip) {
    const int64_t width = first + kSumStrip < columns ? kSumStrip : columns - first;
    sum_strip<T, Plain<Vec<C>>>(out + first, state, static_cast<const T*>(in) + first, size, width, stride);
  }
}
// out[columns]: the sums of squared deviations from mean[columns]; see squares_row.
template <class T>
void squares_columns(double* out, const void* in, int64_t size, int64_t columns, int64_t stride, const double* mean) {
  using C = Compute<T>;
  StripState<C> state;
  for (int64_t first = 0; first < columns; first += kSumStrip) {
    const int64_t width = first + kSumStrip < columns ? kSumStrip : columns - first;
    set_centres(state, mean + first, width);
    sum_strip<T, SquaredDeviation<Vec<C>>>(out + first, state, static_cast<const T*>(in) + first, size, width, stride);
  }
}
// out[columns]: the sums of squared deviations from each column's mean, strip by strip: it stays in the caches.
template <class T>
void deviation_columns(double* out, const void* in, int64_t size, int64_t columns, int64_t stride) {
  double mean[kSumStrip];
  for (int64_t first = 0; first < columns; first += kSumStrip) {
    const int64_t width = first + kSumStrip < columns ? kSumStrip : columns - first;
    const T* const from = static_cast<const T*>(in) + first;
    sum_columns<T>(mean, from, size, width, stride);
    for (int64_t c = 0; c < width; ++c) mean[c] = mean[c] / double(size);
    squares_columns<T>(out + first, from, size, width, stride, mean);
    for (int64_t c = 0; c < width; ++c) { out[first + c] = squares_about<Compute<T>>(mean[c], out[first + c], size); }
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
