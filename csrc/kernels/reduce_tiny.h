// Reductions of many small matrices: in [outer][size][inner] of few elements each. Some of them at a time are copied
// to [size][outer][inner], whose columns the kernels of columns take, and give the same bits as ever: a row of four
// elements costs a register's share of one addition each instead of an addition of its own and a sum across lanes.
// Included by reduce.h.
#pragma once
#include "reduce_extremes.h"
#include "reduce_sum_columns.h"

namespace rusttorch::RUSTTORCH_ISA {

inline constexpr int64_t kTinyBytes = 16384;  // a copy, half of the first-level cache
inline constexpr int64_t kTinyColumns = 256;  // of one copy, at most

template <class T, int n>
struct Elements {
  T values[n];
};

// to[size][count] = in[count][size].
template <class Run, int size>
RUSTTORCH_INLINE void spread_rows(Run* __restrict to, const Run* __restrict in, int64_t count) {
  for (int k = 0; k < size; ++k) {
    for (int64_t row = 0; row < count; ++row) to[k * count + row] = in[row * size + k];
  }
}
template <class Run>
void spread_runs(Run* __restrict to, const Run* __restrict in, int64_t count, int64_t size) {
  switch (size) {
    case 2: return spread_rows<Run, 2>(to, in, count);
    case 3: return spread_rows<Run, 3>(to, in, count);
    case 4: return spread_rows<Run, 4>(to, in, count);
    case 5: return spread_rows<Run, 5>(to, in, count);
    case 6: return spread_rows<Run, 6>(to, in, count);
    case 7: return spread_rows<Run, 7>(to, in, count);
    case 8: return spread_rows<Run, 8>(to, in, count);
    default: break;
  }
  for (int64_t k = 0; k < size; ++k) {
    for (int64_t row = 0; row < count; ++row) to[k * count + row] = in[row * size + k];
  }
}
// to[size][count][inner] = in[count][size][inner].
template <class T>
void spread(T* __restrict to, const T* __restrict in, int64_t count, int64_t size, int64_t inner) {
  if (inner == 1) return spread_runs(to, in, count, size);
  if (inner == 2) {
    return spread_runs(reinterpret_cast<Elements<T, 2>*>(to), reinterpret_cast<const Elements<T, 2>*>(in), count, size);
  }
  if (inner == 3) {
    return spread_runs(reinterpret_cast<Elements<T, 3>*>(to), reinterpret_cast<const Elements<T, 3>*>(in), count, size);
  }
  if (inner == 4) {
    return spread_runs(reinterpret_cast<Elements<T, 4>*>(to), reinterpret_cast<const Elements<T, 4>*>(in), count, size);
  }
  if (inner == 8) {
    return spread_runs(reinterpret_cast<Elements<T, 8>*>(to), reinterpret_cast<const Elements<T, 8>*>(in), count, size);
  }
  for (int64_t k = 0; k < size; ++k) {
    for (int64_t row = 0; row < count; ++row) {
      for (int64_t i = 0; i < inner; ++i) to[(k * count + row) * inner + i] = in[(row * size + k) * inner + i];
    }
  }
}
// Matrices that are copied at once.
template <class T>
RUSTTORCH_INLINE int64_t tiny_count(int64_t size, int64_t inner) {
  const int64_t room = kTinyBytes / int64_t(sizeof(T)) / (size * inner), columns = kTinyColumns / inner;
  return room < columns ? room : columns;
}

// out[outer][inner]; size * inner * sizeof(T) <= kTinyBytes, inner <= kTinyColumns.
template <class T, bool deviation>
void sum_tiny(double* out, const void* in, int64_t outer, int64_t size, int64_t inner) {
  alignas(64) T copy[kTinyBytes / sizeof(T)];
  const int64_t most = tiny_count<T>(size, inner);
  for (int64_t first = 0; first < outer; first += most) {
    const int64_t count = outer - first < most ? outer - first : most, columns = count * inner;
    spread(copy, static_cast<const T*>(in) + first * size * inner, count, size, inner);
    if constexpr (deviation) deviation_columns<T>(out + first * inner, copy, size, columns, columns);
    else sum_columns<T>(out + first * inner, copy, size, columns, columns);
  }
}

// values[outer][inner], places[outer][inner] or null; sizes as above.
template <class T, template <class> class Functor>
void extreme_tiny(void* values, int64_t* places, const void* in, int64_t outer, int64_t size, int64_t inner) {
  alignas(64) T copy[kTinyBytes / sizeof(T)];
  const int64_t most = tiny_count<T>(size, inner);
  for (int64_t first = 0; first < outer; first += most) {
    const int64_t count = outer - first < most ? outer - first : most, columns = count * inner;
    spread(copy, static_cast<const T*>(in) + first * size * inner, count, size, inner);
    extreme_columns<T, Functor>(static_cast<T*>(values) + first * inner, places ? places + first * inner : nullptr,
                                copy, size, columns, columns);
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
