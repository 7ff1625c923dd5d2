// A product of matrices and how one thread computes it. Torch-free.
#pragma once
#include <algorithm>
#include <cstdint>

#include "../kernels/dispatch.h"

namespace rusttorch {

// Most rows of the kernels that read b once, where it is; of a b that comes from memory, more. Over tiles that read it in
// pieces, b from memory, GFLOP/s on AVX2: (16|32,768)x(768,3072) 59 over 30, 46 over 39; (48,768)x(768,3072) 44 over 52.
inline constexpr int64_t kMostDotRows = 4, kMostFewRows = 8, kMostFewRowsOfMuch = 32, kMuch = 1 << 20;

// c[rows][columns] = a[rows][k] b[k][columns], + bias[columns] or + c. Strides in elements; the columns of c are
// adjacent, unless dot products write them (c_column_stride).
struct GemmProblem {
  int64_t rows, columns, k;
  const void* a;
  int64_t a_row_stride, a_k_stride;
  const void* b;
  int64_t b_k_stride, b_column_stride;
  void* c;
  int64_t c_stride;
  const void* bias;
  bool accumulate;
  int64_t c_column_stride = 1;
  UnaryKernel activation = nullptr;  // applied to the finished elements; c has adjacent columns
  const Parameters* parameters = nullptr;

  // Few columns as the rows they are when all is transposed. Only dot products leave gaps in c.
  GemmProblem with_short_side_first() const {
    const bool dots = columns <= kMostDotRows && a_k_stride == 1 && b_k_stride == 1;
    if (rows <= columns || bias) return *this;
    if (!(dots && !activation) && !(columns == 1 && c_stride == 1)) return *this;
    return {columns,      rows, k, b,       b_column_stride, b_k_stride, a,          a_k_stride,
            a_row_stride, c,    1, nullptr, accumulate,      c_stride,   activation, parameters};
  }
  GemmProblem rows_from(int64_t begin, int64_t end, int64_t size) const {
    GemmProblem part = *this;
    part.rows = end - begin;
    part.a = static_cast<const char*>(a) + begin * a_row_stride * size;
    part.c = static_cast<char*>(c) + begin * c_stride * size;
    return part;
  }
  GemmProblem columns_from(int64_t begin, int64_t end, int64_t size) const {
    GemmProblem part = *this;
    part.columns = end - begin;
    part.b = static_cast<const char*>(b) + begin * b_column_stride * size;
    part.c = static_cast<char*>(c) + begin * c_column_stride * size;
    if (bias) part.bias = static_cast<const char*>(bias) + begin * size;
    return part;
  }
};

// Most values of k that one chain adds. The same for every ISA and machine, because it decides the bits. Shorter chains err
// less, longer ones leave c alone for longer: mean error of K = 4096 over that of MKL with 512 1.5.
inline constexpr int64_t kGemmDepth = 384;

inline int64_t gemm_element_size(int dtype) { return dtype == kFloat32 || dtype == kGemmInt32 ? 4 : 8; }
inline int64_t gemm_pieces(int64_t n, int64_t piece) { return (n + piece - 1) / piece; }
// Blocks of k, all but the last equally long.
inline int64_t gemm_depth(int64_t k) { return gemm_pieces(k, gemm_pieces(k, kGemmDepth)); }

// How one thread computes: tiles; so few rows that b is read once and not packed (the same bits); dot products of few rows
// and of columns that are contiguous along k, too (their own order).
enum class GemmPath { tiles, few_rows, dots };
inline GemmPath gemm_path(const GemmProblem& p) {
  if (p.rows <= kMostDotRows && p.a_k_stride == 1 && p.b_k_stride == 1) return GemmPath::dots;
  const int64_t most = p.k * p.columns > kMuch ? kMostFewRowsOfMuch : kMostFewRows;
  const bool few = p.rows <= most && p.b_column_stride == 1 && p.c_column_stride == 1;
  return few ? GemmPath::few_rows : GemmPath::tiles;
}

// What follows the last values of k, for a part of c that is in a cache.
inline void gemm_finish(const GemmProblem& p, void* c, int64_t rows, int64_t columns, int64_t size) {
  if (!p.activation) return;
  for (int64_t i = 0; i < rows; ++i) {
    char* const row = static_cast<char*>(c) + i * p.c_stride * size;
    p.activation(row, row, columns, *p.parameters);
  }
}

// The whole product on this thread, without memory but its stack. A share of a product takes the path of the whole.
inline void gemm_serial(const GemmProblem& p, int dtype, GemmPath path) {
  constexpr int64_t most_width = 128 / sizeof(float);  // 128 bytes, whatever the dtype
  const KernelTable& table = kernels();
  const int64_t size = gemm_element_size(dtype), width = table.gemm_width[dtype];
  const auto at = [size](const void* base, int64_t offset) { return static_cast<const char*>(base) + offset * size; };
  GemmBlock block{.a = p.a,
                  .a_row_stride = p.a_row_stride,
                  .a_k_stride = p.a_k_stride,
                  .a_tile_stride = 0,
                  .b = p.b,
                  .b_k_stride = p.b_k_stride,
                  .b_panel_stride = width,
                  .c = p.c,
                  .c_stride = p.c_stride,
                  .c_column_stride = p.c_column_stride,
                  .rows = p.rows,
                  .columns = p.columns,
                  .k = p.k,
                  .bias = p.bias,
                  .accumulate = p.accumulate,
                  .b_is_padded = false};
  if (path == GemmPath::dots) {
    block.b_panel_stride = p.b_column_stride;
    table.gemm_dots[dtype](block);
    return gemm_finish(p, p.c, p.rows, p.columns, size);
  }
  alignas(64) char packed[kGemmDepth * most_width * sizeof(float)];
  const bool few = path == GemmPath::few_rows, packs = !few && p.b_column_stride != 1;
  const int64_t depth = gemm_depth(p.k);
  for (int64_t start = 0; start < p.k; start += depth) {
    block.k = std::min(depth, p.k - start);
    block.a = at(p.a, start * p.a_k_stride);
    block.b = at(p.b, start * p.b_k_stride);
    if (few) table.gemm_few_rows[dtype](block);
    else if (!packs) table.gemm_block[dtype](block);
    for (int64_t column = 0; packs && column < p.columns; column += width) {
      GemmBlock panel = block;
      panel.columns = std::min(width, p.columns - column);
      panel.c = static_cast<char*>(p.c) + column * size;
      if (block.bias) panel.bias = at(p.bias, column);
      table.gemm_pack[dtype](packed, 0, at(block.b, column * p.b_column_stride), p.b_k_stride, p.b_column_stride,
                             block.k, panel.columns);
      panel.b = packed;
      panel.b_k_stride = width;
      panel.b_is_padded = true;
      table.gemm_block[dtype](panel);
    }
    block.bias = nullptr;
    block.accumulate = true;
  }
  gemm_finish(p, p.c, p.rows, p.columns, size);
}

inline void gemm_serial(const GemmProblem& p, int dtype) { gemm_serial(p, dtype, gemm_path(p)); }

}  // namespace rusttorch
