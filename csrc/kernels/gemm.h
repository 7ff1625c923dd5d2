// Products of matrices: c[rows][columns] = a[rows][k] b[k][columns]; integers wrap. What goes to which thread,
// and how a product is cut into blocks for the caches, is the caller's (ops/gemm_tasks.h); here are the
// register tile (gemm_tile.h), packing and few rows.
//
// Every element of a product is one chain of fused multiply-adds over at most kGemmDepth (ops/gemm_problem.h) values of
// k, in their order, from zero; longer sums are such chains, added in their order. So a product has the same bits on
// every ISA, for any strides, and however its rows and columns are shared out.
#pragma once
#include <cstdint>

namespace rusttorch {

// Memory that the caches fetch.
struct GemmFetch {
  const void* at = nullptr;
  int64_t rows = 0, bytes = 0, stride = 0;  // bytes of each row, and bytes between rows
};

// One block, strides in elements. b comes in panels of `gemm_width` columns (KernelTable): element (k, j) of panel p is
// b[p * b_panel_stride + k * b_k_stride + j], so that a matrix with unit column stride is its own panels.
struct GemmBlock {
  const void* a;
  int64_t a_row_stride, a_k_stride;
  int64_t a_tile_stride;  // 0, or the distance of the tiles that gemm_pack_rows made
  const void* b;
  int64_t b_k_stride, b_panel_stride;
  void* c;
  int64_t c_stride, c_column_stride;  // columns: 1, but of gemm_dots
  int64_t rows, columns, k;
  const void* bias;       // [columns], added to the product, or null
  bool accumulate;        // added to what is in c. Without it c is not read. Not together with a bias
  bool b_is_padded;       // the last panel has all its columns in memory
  GemmFetch next = {};    // during the first columns
  bool b_is_far = false;  // b comes from memory: gemm_few_rows fetches its rows ahead
};

// Index of a dtype in the rows of KernelTable: kFloat32, kFloat64, then these.
inline constexpr int kGemmInt32 = 2, kGemmInt64 = 3, kGemmDtypes = 4;

}  // namespace rusttorch

#ifdef RUSTTORCH_ISA  // compiled once per ISA, inside its target region
#include "gemm_few.h"
#include "gemm_pack.h"
#endif
