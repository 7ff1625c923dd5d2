// Products with few rows, which read b once: memory sets the pace. Included by gemm.h.
#pragma once
#include "gemm_tile.h"
#include "map.h"

namespace rusttorch::RUSTTORCH_ISA {

// Columns that wait in the first-level cache for all of k, over all rows.
template <class T>
inline constexpr int64_t kWaiting = 8192 / int64_t(sizeof(T));

// sums[columns] += the products of `count` values of k. b is read in that many streams: 8 keep the sums' own loads and
// stores to a ninth of the work. `is_far`: the next `count` rows of b are fetched. Zen 4, without over with, what comes
// from memory: (1,4096)x(4096,4096) 30 over 42 GFLOP/s, (1,768)x(768,50257) 20 over 28; from the last cache:
// (1,768)x(768,3072) 73 over 59. Into the first-level cache 30 to 34, 22, 47; 16 rows ahead no better.
template <class T, int count, bool is_far>
RUSTTORCH_INLINE void add_products(T* sums, const T* a, int64_t a_k, const T* b, int64_t b_k, int64_t columns) {
  using V = Vec<T>;
  V y[count];
  for (int q = 0; q < count; ++q) y[q] = V(a[q * a_k]);
  int64_t j = 0;
  for (; j + V::lanes <= columns; j += V::lanes) {
    if constexpr (is_far) {
      for (int q = 0; q < count; ++q) __builtin_prefetch(b + (count + q) * b_k + j, 0, 2);
    }
    V sum = V::load(sums + j);
    for (int q = 0; q < count; ++q) sum = multiply_add(y[q], V::load(b + q * b_k + j), sum);
    sum.store(sums + j);
  }
  if (j < columns) {
    const int64_t left = columns - j;
    V sum = V::load(sums + j, left);
    for (int q = 0; q < count; ++q) sum = multiply_add(y[q], V::load(b + q * b_k + j, left), sum);
    sum.store(sums + j, left);
  }
}

template <class T, bool is_far>
RUSTTORCH_INLINE void gemm_few_rows_of(const GemmBlock& block) {
  using V = Vec<T>;
  T sums[kWaiting<T>];
  const int64_t widest = kWaiting<T> / block.rows / V::lanes * V::lanes;
  const int64_t k_end = block.k / 8 * 8;
  for (int64_t first = 0; first < block.columns; first += widest) {
    const int64_t columns = block.columns - first < widest ? block.columns - first : widest;
    const T* const b = static_cast<const T*>(block.b) + first;
    for (int64_t i = 0; i < block.rows * widest; i += V::lanes) V(T(0)).store(sums + i);
    for (int64_t k = 0; k < block.k; k += k < k_end ? 8 : 1) {
      for (int64_t i = 0; i < block.rows; ++i) {
        const T* const a = static_cast<const T*>(block.a) + i * block.a_row_stride + k * block.a_k_stride;
        const T* const from = b + k * block.b_k_stride;
        T* const to = sums + i * widest;
        if (k < k_end && i == 0) add_products<T, 8, is_far>(to, a, block.a_k_stride, from, block.b_k_stride, columns);
        else if (k < k_end) add_products<T, 8, false>(to, a, block.a_k_stride, from, block.b_k_stride, columns);
        else add_products<T, 1, false>(to, a, block.a_k_stride, from, block.b_k_stride, columns);
      }
    }
    for (int64_t i = 0; i < block.rows; ++i) {
      T* const c = static_cast<T*>(block.c) + i * block.c_stride + first;
      for (int64_t j = 0; j < columns; j += V::lanes) {
        const int64_t left = columns - j < V::lanes ? columns - j : V::lanes;
        V value = V::load(sums + i * widest + j);
        if (block.bias) value = value + V::load(static_cast<const T*>(block.bias) + first + j, left);
        if (block.accumulate) value = V::load(c + j, left) + value;
        value.store(c + j, left);
      }
    }
  }
}

// As gemm_block, the same bits, for a b with unit column stride that nobody has packed.
template <class T>
void gemm_few_rows(const GemmBlock& block) {
  if (block.b_is_far) gemm_few_rows_of<T, true>(block);
  else gemm_few_rows_of<T, false>(block);
}

// Dot products: element k goes to group k / 16 mod 4 and lane k mod 16 (double: 8 lanes). The groups are added by
// halves, then the lanes: the same on every ISA.
template <class T>
struct Dot {
  using V = Vec<T>;
  static constexpr int groups = 4, lanes = 64 / int(sizeof(T)), vectors = lanes / V::lanes, block = groups * lanes;
  V sum[groups][vectors];
  RUSTTORCH_INLINE Dot() {
    for (int g = 0; g < groups; ++g) {
      for (int v = 0; v < vectors; ++v) sum[g][v] = V(T(0));
    }
  }
  RUSTTORCH_INLINE T total() {
    V whole[vectors];
    for (int v = 0; v < vectors; ++v) whole[v] = (sum[0][v] + sum[2][v]) + (sum[1][v] + sum[3][v]);
    for (int half = vectors / 2; half > 0; half /= 2) {
      for (int v = 0; v < half; ++v) whole[v] = whole[v] + whole[v + half];
    }
    return reduce_add(whole[0]);
  }
};

template <class T>
RUSTTORCH_INLINE T wrapping_sum(T a, T b) {
  if constexpr (T(0.5) != T(0)) return a + b;
  else return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// result[row][column] = the product of a row of a and a column of b, both contiguous along k.
template <class T, int rows, int columns>
RUSTTORCH_INLINE void dot_products(T (&result)[rows][columns], const T* a, int64_t a_row, const T* b, int64_t b_column,
                                   int64_t k) {
  using V = Vec<T>;
  using D = Dot<T>;
  D dots[rows][columns];
  int64_t i = 0;
  for (; i + D::block <= k; i += D::block) {
    for (int g = 0; g < D::groups; ++g) {
      for (int v = 0; v < D::vectors; ++v) {
        const int64_t at = i + g * D::lanes + v * V::lanes;
        V x[rows];
        for (int r = 0; r < rows; ++r) x[r] = V::load(a + r * a_row + at);
        for (int c = 0; c < columns; ++c) {
          const V y = V::load(b + c * b_column + at);
          for (int r = 0; r < rows; ++r) dots[r][c].sum[g][v] = multiply_add(x[r], y, dots[r][c].sum[g][v]);
        }
      }
    }
  }
  for (int g = 0; g < D::groups && i + g * D::lanes < k; ++g) {
    for (int v = 0; v < D::vectors; ++v) {
      const int64_t at = i + g * D::lanes + v * V::lanes, left = k - at;
      const int64_t n = left < 0 ? 0 : left < V::lanes ? left : V::lanes;
      for (int c = 0; c < columns; ++c) {
        const V y = V::load(b + c * b_column + at, n);
        for (int r = 0; r < rows; ++r) {
          dots[r][c].sum[g][v] = multiply_add(V::load(a + r * a_row + at, n), y, dots[r][c].sum[g][v]);
        }
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) result[r][c] = dots[r][c].total();
  }
}

// c[i][j] = a[i] b[j], + bias[j] or + c, `count` columns at once.
template <class T, int rows, int count>
RUSTTORCH_INLINE void gemm_dots_of(const GemmBlock& block) {
  const T *const a = static_cast<const T*>(block.a), *const b = static_cast<const T*>(block.b);
  const T* const bias = static_cast<const T*>(block.bias);
  T* const c = static_cast<T*>(block.c);
  for (int64_t j = 0; j < block.columns; j += count) {
    T result[rows][count];
    const int64_t stride = j + 1 < block.columns ? block.b_panel_stride : 0;  // of columns; the last one alone, twice
    dot_products<T, rows, count>(result, a, block.a_row_stride, b + j * block.b_panel_stride, stride, block.k);
    for (int64_t q = j; q < j + count && q < block.columns; ++q) {
      for (int r = 0; r < rows; ++r) {
        T* const to = c + r * block.c_stride + q * block.c_column_stride;
        T value = result[r][q - j];
        if (bias) value = wrapping_sum(value, bias[q]);
        *to = block.accumulate ? wrapping_sum(*to, value) : value;
      }
    }
  }
}

// One to four rows, everything contiguous along k; b_panel_stride is the distance of columns.
template <class T>
void gemm_dots(const GemmBlock& block) {
  if (block.rows == 1) gemm_dots_of<T, 1, 2>(block);
  else if (block.rows == 2) gemm_dots_of<T, 2, 2>(block);
  else if (block.rows == 3) gemm_dots_of<T, 3, 1>(block);
  else gemm_dots_of<T, 4, 1>(block);
}

}  // namespace rusttorch::RUSTTORCH_ISA
