// A product of matrices, cut into tasks for the caches and shared out to threads. Torch-free: the caller brings the
// threads and the memory.
//
// A task is some rows of a by some columns of b, of which it packs a panel at a time, for itself, unless rows are few,
// while the memory of the next one is fetched; where a cannot be read where it is, it packs a block of it, too. Threads
// take tasks from a counter and wait for nobody. Tasks of the same columns follow each other, so that b comes from
// memory once.
//
// Panels of b packed once for all threads, which wait for each other, over this, of the FMA rate on 2 Zen 3 cores:
// (1024,1536)x(1536,384) by columns 0.76 over 0.83, (1024,384)x(384,32000) by columns 0.75 over 0.89,
// (96,50257)x(50257,384) 0.45 over 0.65; where a is packed (384,1024)x(1024,384) 0.60 over 0.70, (1536,1024)x(1024,384)
// 0.73 over 0.72. Several panels at a time, or a share of the next one packed between tiles: no difference. Other tasks
// of columns, 256 or 1024, or of rows, 3 % slower; where a is packed, 384 and 128 rows are 2 to 4 % slower than 256,
// and with AVX-512 512 columns 1 to 3 % slower than 1024. Four tasks for each thread that packs a instead of two, 1 to
// 3 % slower on Zen 4: a is packed by each task of the same rows.
#pragma once
#include <atomic>

#include "gemm_problem.h"

namespace rusttorch {

class GemmTasks {
 public:
  GemmTasks(const GemmProblem& problem, int dtype, int64_t threads)
      : p_(problem),
        dtype_(dtype),
        size_(gemm_element_size(dtype)),
        width_(kernels().gemm_width[dtype]),
        panels_(gemm_pieces(p_.columns, width_)),
        threads_(threads),
        packs_a_(gemm_packs_a(p_, dtype)) {
    choose_tasks();
    if (!packs_a_) return;
    const KernelTable& table = kernels();
    const int64_t tiles = gemm_pieces(gemm_pieces(p_.rows, row_tasks_), table.gemm_rows[dtype]);
    copy_bytes_ = gemm_pieces(tiles * table.gemm_pitch[dtype] * gemm_depth(p_.k) * size_, 64) * 64;
  }

  // What run() needs: packed rows of a for each thread.
  int64_t memory_bytes() const { return packs_a_ ? threads_ * copy_bytes_ + 63 : 0; }

  // Called once by each thread, with the same memory. Returns when there is nothing left to take.
  void run(char* memory) {
    char* copy = nullptr;
    if (packs_a_) copy = memory + (-reinterpret_cast<uintptr_t>(memory) & 63) + callers_.fetch_add(1) * copy_bytes_;
    for (int64_t task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < row_tasks_ * column_tasks_;) {
      const int64_t i = task % row_tasks_, j = task / row_tasks_;
      const int64_t row = p_.rows * i / row_tasks_, row_end = p_.rows * (i + 1) / row_tasks_;
      const int64_t column = panels_ * j / column_tasks_ * width_;
      const int64_t column_end = std::min(panels_ * (j + 1) / column_tasks_ * width_, p_.columns);
      gemm_tiles(p_.rows_from(row, row_end, size_).columns_from(column, column_end, size_), dtype_, true, copy);
    }
  }

 private:
  // Rows of float, half as many of double. With AVX2, whose tiles of 6 rows take 8, packed rows fill 516 KiB.
  static constexpr int64_t kRows = 384, kPackedRows = 256, kLeastRows = 24;
  static constexpr int64_t kColumns = 512, kPackedColumns = 1024, kLeastPanels = 3, kTasksPerThread = 4,
                           kPackedTasks = 2;

  // Several tasks for each thread, if there are enough columns, and the same number for all, if that is nearly as many.
  void choose_tasks() {
    const int64_t rows = (packs_a_ ? kPackedRows : kRows) * int64_t(sizeof(float)) / size_;
    row_tasks_ = gemm_pieces(p_.rows, rows);
    column_tasks_ = gemm_pieces(p_.columns, packs_a_ ? kPackedColumns : kColumns);
    if (threads_ == 1) return;
    const int64_t most_columns = std::max<int64_t>(panels_ / kLeastPanels, 1);
    const int64_t most_rows = std::max(row_tasks_, p_.rows / kLeastRows);
    column_tasks_ =
        std::max(column_tasks_, gemm_pieces((packs_a_ ? kPackedTasks : kTasksPerThread) * threads_, row_tasks_));
    column_tasks_ = std::min(column_tasks_, most_columns);
    if (row_tasks_ * column_tasks_ >= threads_) {
      for (int64_t columns = column_tasks_; 2 * columns > column_tasks_; --columns) {
        if (row_tasks_ * columns % threads_ != 0) continue;
        column_tasks_ = columns;
        return;
      }
      // Three tasks for two threads: (768,1024)x(1024,128) by columns 1.27 ms, by four 1.00.
      const int64_t more_rows = gemm_pieces(row_tasks_, threads_) * threads_;
      if (row_tasks_ * column_tasks_ < kTasksPerThread * threads_ && more_rows <= most_rows) row_tasks_ = more_rows;
    } else {  // more tasks of rows: as few as are enough for all threads
      int64_t least = 0;
      for (int64_t columns = most_columns; columns > 0 && gemm_pieces(threads_, columns) <= most_rows; --columns) {
        const int64_t rows_too = gemm_pieces(threads_, columns);
        if (least > 0 && rows_too * columns >= least) continue;
        least = rows_too * columns;
        row_tasks_ = rows_too;
        column_tasks_ = columns;
      }
      if (least == 0) row_tasks_ = most_rows;
    }
  }

  const GemmProblem p_;
  const int dtype_;
  const int64_t size_, width_, panels_, threads_;
  const bool packs_a_;
  int64_t row_tasks_, column_tasks_, copy_bytes_ = 0;
  std::atomic<int64_t> next_{0}, callers_{0};
};

}  // namespace rusttorch
