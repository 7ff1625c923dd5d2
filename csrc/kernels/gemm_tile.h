// The register tile of a product of matrices. Included by gemm.h.
#pragma once
#include "vec.h"

namespace rusttorch::RUSTTORCH_ISA {

// The register tile, in rows and vectors. float32 lanes: scalar 1, NEON 4, AVX2 8, AVX-512 16. Seven rows by four
// vectors instead of fourteen by two, Zen 4: float squares of 1024 220 GFLOP/s over 206, because rows of c or a that
// are 4 KiB apart then fit into the ways of the first-level cache; others 0 to 5 % more. int32, whose products need
// registers of their own, 188 over 166 with ten by two; int64 82 over 85.
template <class T>
struct GemmTile {
  static constexpr int float_lanes = Vec<float>::lanes;
  static constexpr bool is_low = float_lanes == 16 && (T(0.5) != T(0) || sizeof(T) == 8);
  static constexpr int vectors = is_low ? 4 : float_lanes >= 8 ? 2 : float_lanes == 4 ? 3 : 4;
  static constexpr int rows = is_low ? 7 : float_lanes == 16 ? 10 : float_lanes == 8 ? 6 : float_lanes == 4 ? 8 : 3;
  static constexpr int columns = vectors * Vec<T>::lanes;
  static constexpr int panel = float_lanes == 16 ? 4 * Vec<T>::lanes : columns;  // columns of a panel of b: whole tiles
  static constexpr int group = Vec<T>::lanes < 8 ? Vec<T>::lanes : 8;
  static constexpr int pitch = (rows + group - 1) / group * group;  // of packed rows
};

// a * b + c: rounded once, or wrapping.
template <class T>
RUSTTORCH_INLINE Vec<T> multiply_add(Vec<T> a, Vec<T> b, Vec<T> c) {
  if constexpr (T(0.5) != T(0)) return fma(a, b, c);
  else return a * b + c;
}

// Lines that the caches fetch, row after row, a few at a time.
struct FetchedLines {
  const char* at = nullptr;
  int64_t each = 0, left = 0;                      // at a time, in all
  int64_t in_row = 1, row_lines = 1, row_gap = 0;  // left of this row, of each row; bytes between

  RUSTTORCH_INLINE void fetch() {
    int64_t n = each < left ? each : left;
    left -= n;
    for (; n > 0; --n) {
      __builtin_prefetch(at, 0, 2);
      at += 64;
      if (--in_row == 0) at += row_gap, in_row = row_lines;
    }
  }
};

template <class T>
struct GemmOperands {
  const T* a;
  int64_t a_row, a_k;
  const T* b;
  int64_t b_k;
  T* c;
  int64_t c_row, k, last;  // columns in the last vector
  const T* bias;
  bool accumulate;
  const T* next_c;  // of the tile that follows
  FetchedLines next;
};

// Values of k between two fetches, and rows of c fetched at a time.
inline constexpr int kStretch = 8, kFetchedRows = 2;

// One tile: rows x vectors accumulators. `masked`: the last vector of b is read in part. Between stretches of k, two
// rows of the next tile of c are fetched, and some lines of what comes after. All at once, before the first value of k,
// they keep what the loop reads waiting; of the FMA rate, on Zen 4, that over a quarter after each quarter of k:
// (96,384)x(384,50257) by columns 0.80 over 0.85, (50257,96)x(96,384) added to what is there 0.75 over 0.86, 48 x
// (256,64)x(64,256) 0.77 over 0.85. The fewer tiles share the lines, the more it matters: quarters over stretches of
// 8, (7|14,4096)x(4096,4096) 84 over 140 GFLOP/s and 133 over 194; of 16 and 32 values 139 and 118, 183 and 172. On its
// AVX2, no difference.
template <class T, int rows, int vectors, bool masked>
void gemm_tile(const GemmOperands<T>& o) {
  using V = Vec<T>;
  constexpr int lanes = V::lanes, groups = (rows + 3) / 4;
  const int64_t a_row = o.a_row, a_row2 = 2 * o.a_row, a_row3 = 3 * o.a_row, a_k = o.a_k, b_k = o.b_k, last = o.last;
  const T* b = o.b;
  const T* a[groups];
#pragma GCC unroll 16
  for (int g = 0; g < groups; ++g) a[g] = o.a + 4 * g * a_row;
  V sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = V(T(0));
  }
  const T* next_c = o.next_c;
  FetchedLines next = o.next;
  int c_rows = rows;
  for (int64_t left = o.k; left > 0; left -= kStretch) {
    if (c_rows > 0) {
#pragma GCC unroll 4
      for (int i = 0; i < kFetchedRows; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) __builtin_prefetch(next_c + v * lanes, 1);
        next_c += o.c_row;
      }
      c_rows -= kFetchedRows;
    }
    next.fetch();
    for (int64_t k = left < kStretch ? left : kStretch; k > 0; --k) {
      V x[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
        x[v] = masked && v == vectors - 1 ? V::load(b + v * lanes, last) : V::load(b + v * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const T* const p = a[i / 4];
        const V y(i % 4 == 0 ? p[0] : i % 4 == 1 ? p[a_row] : i % 4 == 2 ? p[a_row2] : p[a_row3]);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[i][v] = multiply_add(y, x[v], sum[i][v]);
      }
#pragma GCC unroll 16
      for (int g = 0; g < groups; ++g) a[g] += a_k;
      b += b_k;
    }
  }
  T* const c_start = o.c;
  const T* const bias_start = o.bias;
  const int64_t c_row = o.c_row;
  const bool accumulate = o.accumulate;
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
    const bool is_whole = v < vectors - 1 || last == lanes;
    V bias(T(0));
    if (bias_start) bias = is_whole ? V::load(bias_start + v * lanes) : V::load(bias_start + v * lanes, last);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      T* const c = c_start + i * c_row + v * lanes;
      V value = sum[i][v];
      if (bias_start) value = value + bias;
      if (is_whole) {
        if (accumulate) value = V::load(c) + value;
        value.store(c);
      } else {
        if (accumulate) value = V::load(c, last) + value;
        value.store(c, last);
      }
    }
  }
}

template <class T, int rows, int vectors>
RUSTTORCH_INLINE void gemm_tile_of(const GemmOperands<T>& o, bool masked) {
  if (masked) gemm_tile<T, rows, vectors, true>(o);
  else gemm_tile<T, rows, vectors, false>(o);
}
template <class T, int rows>
RUSTTORCH_INLINE void gemm_tile_rows(const GemmOperands<T>& o, int vectors, bool masked) {
  constexpr int most = GemmTile<T>::vectors;
  if (vectors == most) return gemm_tile_of<T, rows, most>(o, masked);
  if constexpr (most > 1) {
    if (vectors == most - 1) return gemm_tile_of<T, rows, most - 1>(o, masked);
  }
  if constexpr (most > 2) {
    if (vectors == most - 2) return gemm_tile_of<T, rows, most - 2>(o, masked);
  }
  if constexpr (most > 3) {
    if (vectors == most - 3) return gemm_tile_of<T, rows, most - 3>(o, masked);
  }
}
template <class T, int rows>
RUSTTORCH_INLINE void gemm_tile_any(const GemmOperands<T>& o, int64_t count, int vectors, bool masked) {
  if constexpr (rows == 1) gemm_tile_rows<T, 1>(o, vectors, masked);
  else if (count == rows) gemm_tile_rows<T, rows>(o, vectors, masked);
  else gemm_tile_any<T, rows - 1>(o, count, vectors, masked);
}

// The share of a tile of what the caches fetch: the hardware's own prefetch begins anew at each page and each row.
RUSTTORCH_INLINE FetchedLines share_of_lines(const GemmBlock& block, int64_t tile, int64_t tiles) {
  const GemmFetch& fetch = block.next;
  const bool is_aligned = (reinterpret_cast<uintptr_t>(fetch.at) | uintptr_t(fetch.stride)) % 64 == 0;
  FetchedLines lines;
  lines.row_lines = (fetch.bytes + 63) / 64 + (is_aligned ? 0 : 1);
  lines.row_gap = fetch.stride - 64 * lines.row_lines;
  const int64_t all = fetch.rows * lines.row_lines, begin = all * tile / tiles, end = all * (tile + 1) / tiles;
  const int64_t row = begin / lines.row_lines, line = begin % lines.row_lines;
  const int64_t times = (block.k + kStretch - 1) / kStretch;
  lines.at = static_cast<const char*>(fetch.at) + row * fetch.stride + 64 * line;
  lines.in_row = lines.row_lines - line;
  lines.left = end - begin;
  lines.each = (lines.left + times - 1) / times;
  return lines;
}

template <class T>
void gemm_block(const GemmBlock& block) {
  constexpr int width = GemmTile<T>::columns, lanes = Vec<T>::lanes;
  const int64_t tiles = (block.rows + GemmTile<T>::rows - 1) / GemmTile<T>::rows;
  GemmOperands<T> o;
  o.a_row = block.a_row_stride;
  o.a_k = block.a_k_stride;
  o.b_k = block.b_k_stride;
  o.c_row = block.c_stride;
  o.k = block.k;
  o.accumulate = block.accumulate;
  for (int64_t strip = 0; strip * width < block.columns; ++strip) {
    const int64_t left = block.columns - strip * width, columns = left < width ? left : width;
    const int vectors = int((columns + lanes - 1) / lanes);
    o.last = columns - (vectors - 1) * lanes;
    if (strip == 1) o.next.left = 0;
    constexpr int each = GemmTile<T>::panel / width;
    o.b = static_cast<const T*>(block.b) + strip / each * block.b_panel_stride + strip % each * width;
    o.bias = block.bias ? static_cast<const T*>(block.bias) + strip * width : nullptr;
    const bool masked = !block.b_is_padded && o.last < lanes;
    for (int64_t tile = 0; tile < tiles; ++tile) {  // heights that differ by one at most
      const int64_t row = block.rows * tile / tiles, end = block.rows * (tile + 1) / tiles;
      o.a = static_cast<const T*>(block.a) + (block.a_tile_stride ? tile * block.a_tile_stride : row * o.a_row);
      o.c = static_cast<T*>(block.c) + row * o.c_row + strip * width;
      o.next_c = tile + 1 < tiles ? o.c + (end - row) * o.c_row : static_cast<T*>(block.c) + (strip + 1) * width;
      if (strip == 0 && block.next.rows > 0) o.next = share_of_lines(block, tile, tiles);
      gemm_tile_any<T, GemmTile<T>::rows>(o, end - row, vectors, masked);
    }
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
