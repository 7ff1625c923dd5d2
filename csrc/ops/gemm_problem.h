// A product of matrices and how one thread computes it. Torch-free.
#pragma once
#include <algorithm>
#include <cstdint>

#include "../kernels/dispatch.h"

namespace rusttorch {

// Most rows of the kernels that read b once, where it is. AVX2: more for a b that comes from memory. GFLOP/s over that
// of tiles of 6 rows on Zen 3: (12|16,4096)x(4096,4096) 50 over 24, 60 over 37; (16,768)x(768,3072) 73 over 70;
// (24,768)x(768,3072) 67 over 76. AVX-512, over tiles of 7 that read b where it is, too: (3|4|7,4096)x(4096,4096) 61
// over 60, 73 over 93, 88 over 140; (3|4|7,768)x(768,3072) 105 over 112, 119 over 140, 130 over 180.
inline constexpr int64_t kMostDotRows = 4, kMostFewRows = 8, kMuch = 1 << 20;
inline int64_t most_few_rows(int64_t elements) {
  if (kernels().float_lanes == 16) return 3;
  return elements > kMuch ? 2 * kMostFewRows : kMostFewRows;
}
// Most rows of a task that read a far b where it is: packing it costs as much as the products with ten rows. GFLOP/s on
// Zen 4 of that over packed: (16|32|64,768)x(768,3072) 181 over 155, 196 over 188, 206 over 198;
// (96|256,3072)x(3072,768) 199 over 210, 202 over 220. With AVX2, whose panels have a quarter of the columns, 17 rows 0
// to 10 % more, 32 less.
inline int64_t most_rows_in_place() { return kernels().float_lanes == 16 ? 48 : 0; }
// Bytes of b that no cache keeps.
inline constexpr int64_t kUncachedBytes = 16 << 20;
// Most rows for which it pays to fetch rows of such a b ahead; AVX2: 8 and 16 rows 0.9 to 0.96 of without.
inline constexpr int64_t kMostFarRows = 3;
// Lines of one set of the first-level cache, whose sets repeat every 4 KiB.
inline constexpr int64_t kCacheWays = 8;

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

// Most values of k that one chain adds. The same for every ISA and machine, because it decides the bits. Shorter chains
// err less, longer ones leave c alone for longer: mean error of K = 4096 over that of MKL with 512 1.5.
inline constexpr int64_t kGemmDepth = 384;

inline int64_t gemm_element_size(int dtype) { return dtype == kFloat32 || dtype == kGemmInt32 ? 4 : 8; }
inline int64_t gemm_pieces(int64_t n, int64_t piece) { return (n + piece - 1) / piece; }
// Blocks of k, all but the last equally long.
inline int64_t gemm_depth(int64_t k) { return gemm_pieces(k, gemm_pieces(k, kGemmDepth)); }

// How one thread computes: tiles; so few rows that b is read once and not packed (the same bits), and from memory; dot
// products of few rows and of columns that are contiguous along k, too (their own order).
enum class GemmPath { tiles, few_rows, few_far_rows, dots };
inline GemmPath gemm_path(const GemmProblem& p, int dtype) {
  if (p.rows <= kMostDotRows && p.a_k_stride == 1 && p.b_k_stride == 1) return GemmPath::dots;
  const int64_t elements = p.k * p.columns;
  const bool few = p.rows <= most_few_rows(elements) && p.b_column_stride == 1 && p.c_column_stride == 1;
  if (!few) return GemmPath::tiles;
  const bool is_far = p.rows <= kMostFarRows && elements * gemm_element_size(dtype) > kUncachedBytes;
  return is_far ? GemmPath::few_far_rows : GemmPath::few_rows;
}

// a is read where it is if its rows are contiguous, unless its tiles would fall into the same set of the first-level
// cache, whose lines they read element by element: rows 4 KiB apart or a multiple of that, and more of them than the
// set has lines, as tiles of int32 with AVX-512. Its other tiles have seven rows: float squares of 1024 220 GFLOP/s
// direct, 203 packed. With tiles of 6 rows on Zen 3 packing must be worth it: 12 KiB apart, (768,3072) by 16, 32, 256,
// 512, 2048 columns 131 GFLOP/s over 69, 130 over 85, 132 over 121, 115 over 105, 119 over 122. By columns,
// (1536,1024)x(1024,384) 125 over 152. Few rows are not worth it: (256,4096)x(4096,4096) 0.70 over 0.66.
inline bool gemm_packs_a(const GemmProblem& p, int dtype) {
  if (p.a_k_stride != 1) return p.rows > 48;
  const int64_t apart = p.a_row_stride * gemm_element_size(dtype);
  if (kernels().gemm_rows[dtype] > kCacheWays) return apart % 4096 == 0 && p.rows >= 64 && p.columns >= 16;
  if (kernels().float_lanes == 16) return false;  // seven rows: they fit
  return apart % (gemm_element_size(dtype) == 4 ? 4096 : 16384) == 0 && p.rows > 256 && p.columns > 512;
}

// Bytes of each row of c that the activation takes at once, at least a panel.
inline constexpr int64_t kFinishedBytes = 512;
// What follows the last values of k, for a part of c that is in a cache.
inline void gemm_finish(const GemmProblem& p, void* c, int64_t rows, int64_t columns, int64_t size) {
  if (!p.activation) return;
  for (int64_t i = 0; i < rows; ++i) {
    char* const row = static_cast<char*>(c) + i * p.c_stride * size;
    p.activation(row, row, columns, *p.parameters);
  }
}

// All of a product, b where it is.
inline GemmBlock gemm_block_of(const GemmProblem& p) {
  return {.a = p.a,
          .a_row_stride = p.a_row_stride,
          .a_k_stride = p.a_k_stride,
          .a_tile_stride = 0,
          .b = p.b,
          .b_k_stride = p.b_k_stride,
          .b_panel_stride = p.b_column_stride,
          .c = p.c,
          .c_stride = p.c_stride,
          .c_column_stride = p.c_column_stride,
          .rows = p.rows,
          .columns = p.columns,
          .k = p.k,
          .bias = p.bias,
          .accumulate = p.accumulate,
          .b_is_padded = false};
}

// By tiles. Panels of b are packed on the stack, one at a time, unless they are in its memory as they should be:
// adjacent columns, and `is_far` does not say that they come from memory, or rows are few. If it does, the next panel
// is fetched meanwhile. Packed and fetched over read where it is, GFLOP/s on AVX2: (96,50257)x(50257,384) 113 over 95,
// (64,768)x(768,3072) 94 over 66. `copy`: null, or room for a block of packed rows of a.
inline void gemm_tiles(const GemmProblem& p, int dtype, bool is_far, void* copy) {
  constexpr int64_t most_width = 256;  // bytes, whatever the dtype
  const KernelTable& table = kernels();
  const int64_t size = gemm_element_size(dtype), width = table.gemm_width[dtype], depth = gemm_depth(p.k);
  const auto at = [size](const void* base, int64_t offset) { return static_cast<const char*>(base) + offset * size; };
  const bool by_rows = p.b_column_stride == 1, packs = !by_rows || (is_far && p.rows > most_rows_in_place());
  const int64_t step = packs || is_far ? width : p.columns;
  const int64_t finished = std::max<int64_t>(kFinishedBytes / (width * size), 1);
  alignas(64) char packed[kGemmDepth * most_width];
  GemmBlock block = gemm_block_of(p);
  if (packs) block.b_k_stride = width;
  block.b_panel_stride = width;
  block.b_is_padded = packs;
  for (int64_t start = 0; start < p.k; start += depth) {
    block.k = std::min(depth, p.k - start);
    block.a = at(p.a, start * p.a_k_stride);
    block.accumulate = p.accumulate || start > 0;
    if (copy) {
      table.gemm_pack_rows[dtype](copy, block.a, p.a_row_stride, p.a_k_stride, block.k, p.rows, table.gemm_rows[dtype]);
      block.a = copy;
      block.a_row_stride = 1;
      block.a_k_stride = table.gemm_pitch[dtype];
      block.a_tile_stride = block.k * block.a_k_stride;
    }
    for (int64_t column = 0; column < p.columns; column += step) {
      block.b = at(p.b, start * p.b_k_stride + column * p.b_column_stride);
      block.columns = std::min(step, p.columns - column);
      block.c = static_cast<char*>(p.c) + column * size;
      block.bias = p.bias && start == 0 ? at(p.bias, column) : nullptr;
      if (packs) {
        table.gemm_pack[dtype](packed, 0, block.b, p.b_k_stride, p.b_column_stride, block.k, block.columns);
        block.b = packed;
      }
      const bool is_last = column + step >= p.columns;
      if (is_far) {  // after the last panel, the first one of the next values of k
        const int64_t next_start = is_last ? start + depth : start, next_column = is_last ? 0 : column + step;
        const int64_t k = std::clamp<int64_t>(p.k - next_start, 0, depth);
        const int64_t columns = std::min(step, p.columns - next_column);
        const void* const next = at(p.b, next_start * p.b_k_stride + next_column * p.b_column_stride);
        if (by_rows) block.next = {next, k, columns * size, p.b_k_stride * size};
        else if (p.b_k_stride == 1) block.next = {next, k > 0 ? columns : 0, k * size, p.b_column_stride * size};
      }
      table.gemm_block[dtype](block);
      if (start + depth >= p.k && (is_last || (column / step + 1) % finished == 0)) {
        const int64_t first = column / step / finished * finished * step;
        gemm_finish(p, static_cast<char*>(p.c) + first * size, p.rows, column + block.columns - first, size);
      }
    }
  }
}

// The whole product on this thread, without memory but its stack. A share of a product takes the path of the whole.
inline void gemm_serial(const GemmProblem& p, int dtype, GemmPath path) {
  if (path == GemmPath::tiles) return gemm_tiles(p, dtype, false, nullptr);
  const KernelTable& table = kernels();
  const int64_t size = gemm_element_size(dtype), depth = path == GemmPath::dots ? p.k : gemm_depth(p.k);
  GemmBlock block = gemm_block_of(p);
  block.b_is_far = path == GemmPath::few_far_rows;
  for (int64_t start = 0; start < p.k; start += depth) {
    block.k = std::min(depth, p.k - start);
    block.a = static_cast<const char*>(p.a) + start * p.a_k_stride * size;
    block.b = static_cast<const char*>(p.b) + start * p.b_k_stride * size;
    block.bias = start == 0 ? p.bias : nullptr;
    block.accumulate = p.accumulate || start > 0;
    (path == GemmPath::dots ? table.gemm_dots : table.gemm_few_rows)[dtype](block);
  }
  gemm_finish(p, p.c, p.rows, p.columns, size);
}

inline void gemm_serial(const GemmProblem& p, int dtype) { gemm_serial(p, dtype, gemm_path(p, dtype)); }

}  // namespace rusttorch
