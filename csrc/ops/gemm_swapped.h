// Products whose b is contiguous along k, of few rows: a layer's weight and a few dozen tokens. Torch-free.
//
// c^T = b^T a^T: the columns of b are read where they are, as rows, and only a is packed, once. By tiles of a, b would
// be packed for few rows, which costs as much as the products with ten. A thread turns each block of its results.
// GFLOP/s over that by tiles of a, Zen 4: (16|32|64,768)x(768,3072) by columns 198 over 160, 204 over 183, 212 over
// 198; 96 rows of 384 values by 1536 and 50257 columns 201 over 210, 189 over 200: the turned results cost more than
// packing spares. Wasted lanes count: 5, 8, 12 and 24 rows 64 over 91, 100 over 130, 145 over 144, 154 over 175; with
// AVX2 5, 6 and 21 rows 0.87, 0.95 and 0.93 of tiles, 8 and 16 more than them.
#pragma once
#include <algorithm>
#include <atomic>

#include "gemm_problem.h"

namespace rusttorch {

class SwappedTasks {
 public:
  // Most rows, and columns of c at a time, which wait in the second-level cache.
  static constexpr int64_t kRows = 64, kColumns = 112;
  static constexpr int64_t kMostPackedBytes = 4 << 20;

  static bool suits(const GemmProblem& p, int dtype) {
    const int64_t size = gemm_element_size(dtype), lanes = std::max<int64_t>(kernels().float_lanes * 4 / size, 1);
    const int64_t width = kernels().gemm_width[dtype];
    return p.b_k_stride == 1 && p.c_column_stride == 1 && !p.accumulate && p.rows <= kRows && 2 * p.rows <= p.k &&
           p.columns >= 2 * kColumns && 4 * (gemm_pieces(p.rows, lanes) * lanes - p.rows) < lanes &&
           gemm_pieces(p.rows, width) * width * p.k * size <= kMostPackedBytes;
  }

  SwappedTasks(const GemmProblem& problem, int dtype, int64_t threads)
      : p_(problem),
        dtype_(dtype),
        size_(gemm_element_size(dtype)),
        width_(kernels().gemm_width[dtype]),
        panels_(gemm_pieces(p_.rows, width_)),
        tasks_(gemm_pieces(gemm_pieces(p_.columns, kColumns), threads) * threads) {}

  int64_t memory_bytes() const { return panels_ * width_ * p_.k * size_ + 63; }

  // Once, before run().
  void pack(char* memory) {
    packed_ = memory + (-reinterpret_cast<uintptr_t>(memory) & 63);
    kernels().gemm_pack[dtype_](packed_, p_.k * width_, p_.a, p_.a_k_stride, p_.a_row_stride, p_.k, p_.rows);
  }

  // Called once by each thread. Returns when there is nothing left to take.
  void run() {
    for (int64_t task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) {
      const int64_t begin = p_.columns * task / tasks_, end = p_.columns * (task + 1) / tasks_;
      if (begin < end) run_columns(p_.columns_from(begin, end, size_));
    }
  }

 private:
  void run_columns(const GemmProblem& p) {
    alignas(64) char turned[kRows * kColumns * 8];  // [columns][rows]
    const KernelTable& table = kernels();
    const int64_t depth = gemm_depth(p.k), lead = std::min(table.gemm_rows[dtype_], p.columns);
    GemmBlock block{.a_row_stride = p.b_column_stride,
                    .a_k_stride = 1,
                    .b_k_stride = width_,
                    .b_panel_stride = p.k * width_,
                    .c = turned,
                    .c_stride = kRows,
                    .c_column_stride = 1,
                    .rows = p.columns,
                    .columns = p.rows,
                    .b_is_padded = true};
    if (p.bias) {  // first, as everywhere: the same bits
      for (int64_t j = 0; j < p.columns; ++j)
        fill(turned + j * kRows * size_, static_cast<const char*>(p.bias) + j * size_);
    }
    for (int64_t start = 0; start < p.k; start += depth) {
      block.k = std::min(depth, p.k - start);
      block.a = static_cast<const char*>(p.b) + start * size_;
      block.b = packed_ + start * width_ * size_;
      block.accumulate = p.bias || start > 0;
      // The rows of later tiles.
      block.next = {.at = static_cast<const char*>(block.a) + lead * p.b_column_stride * size_,
                    .rows = p.columns - lead,
                    .bytes = block.k * size_,
                    .stride = p.b_column_stride * size_};
      table.gemm_block[dtype_](block);
    }
    table.gemm_turn[dtype_](p.c, p.c_stride, turned, kRows, p.rows, p.columns);
    gemm_finish(p, p.c, p.rows, p.columns, size_);
  }
  void fill(char* row, const char* value) const {
    if (size_ == 4) std::fill_n(reinterpret_cast<uint32_t*>(row), p_.rows, *reinterpret_cast<const uint32_t*>(value));
    else std::fill_n(reinterpret_cast<uint64_t*>(row), p_.rows, *reinterpret_cast<const uint64_t*>(value));
  }

  const GemmProblem p_;
  const int dtype_;
  const int64_t size_, width_, panels_, tasks_;
  char* packed_ = nullptr;
  std::atomic<int64_t> next_{0};
};

}  // namespace rusttorch
