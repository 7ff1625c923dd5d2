// A product of matrices, cut into blocks for the caches and shared out to threads. Torch-free: the caller brings the
// threads and the memory.
//
// b is packed for all threads, a part that fits the last-level cache at a time: some columns and some blocks of k, a
// stage. Then its tasks are computed: some rows by some columns each, all blocks of k while their part of c is in the
// second-level cache. Threads take packing and tasks from counters, so that they end together whatever disturbs one. A
// thread waits only for work that another one has taken and is doing: with fewer threads than expected, even one, all
// work is still done.
//
// Measured on 2 Zen 4 cores (32 KiB, 1 MiB, 32 MiB of cache; 231 GFLOP/s of float32), 1024 x 1024 x 1024: tasks of 84
// rows 208 GFLOP/s, of 168 204, of 336 200; c in memory between blocks of k instead of in the cache (tasks for one
// block each): 50257 x 1024 x 384 168 GFLOP/s. On 2 Zen 3 cores with AVX2, tasks that pack their columns for themselves,
// without waiting for anyone: 127 GFLOP/s over the shapes of a training step, 136 so.
#pragma once
#include <atomic>
#include <memory>
#include <thread>

#include "cache_sizes.h"
#include "gemm_problem.h"

namespace rusttorch {

class GemmWork {
 public:
  GemmWork(const GemmProblem& problem, int dtype, int64_t threads)
      : p_(problem),
        table_(kernels()),
        dtype_(dtype),
        size_(gemm_element_size(dtype)),
        width_(table_.gemm_width[dtype]),
        depth_(gemm_depth(problem.k)),
        threads_(threads) {
    const int64_t panels = gemm_pieces(p_.columns, width_), k_blocks = gemm_pieces(p_.k, depth_);
    panel_bytes_ = depth_ * width_ * size_;
    // Wide stages first, so that each row of a is read and packed for many columns; then as many blocks of k as fit.
    const int64_t stage = std::clamp(cache_sizes().last / 8, kLeastStageBytes, kMostStageBytes);
    const int64_t task_columns = std::clamp<int64_t>(cache_sizes().second / 1024, 256, 1024);
    stage_blocks_ = std::clamp<int64_t>(stage / (std::min(panels, task_columns / width_) * panel_bytes_), 1, k_blocks);
    stage_panels_ = std::clamp<int64_t>(stage / (stage_blocks_ * panel_bytes_), 1, panels);
    column_stages_ = gemm_pieces(panels, stage_panels_);
    stage_panels_ = gemm_pieces(panels, column_stages_);
    k_stages_ = gemm_pieces(k_blocks, stage_blocks_);
    stage_blocks_ = gemm_pieces(k_blocks, k_stages_);

    row_tasks_ = gemm_pieces(p_.rows, kTaskRows);
    column_tasks_ = k_blocks > 1 ? gemm_pieces(stage_panels_ * width_, task_columns) : 1;
    if (threads > 1) {  // several tasks for each thread, the same number for all; shorter before they are narrower
      const int64_t most = gemm_pieces(p_.rows, kTaskRows / 2);
      row_tasks_ = std::max(row_tasks_, std::min(kTasksPerThread * threads, most));
      const int64_t wanted = gemm_pieces(kTasksPerThread * threads, row_tasks_);
      column_tasks_ = std::min(std::max(column_tasks_, wanted), gemm_pieces(stage_panels_, kTaskPanels));
      if (row_tasks_ * column_tasks_ % threads != 0) {
        row_tasks_ = std::min(gemm_pieces(row_tasks_, threads) * threads, p_.rows);
      }
    }
    copies_ = copies();
    const int64_t task_rows = gemm_pieces(p_.rows, row_tasks_) + 1;
    const int64_t tiles = gemm_pieces(task_rows, table_.gemm_rows[dtype]) + 1;
    copy_bytes_ = copies_ ? (tiles * table_.gemm_pitch[dtype] * depth_ * size_ + 63) / 64 * 64 : 0;
    stages_ = std::make_unique<Stage[]>(column_stages_ * k_stages_);
    progress_ = std::make_unique<std::atomic<int64_t>[]>(row_tasks_ * column_tasks_);
  }

  // What run() needs: two stages, so that one is packed while the last tasks of another are computed, and packed rows
  // of a.
  int64_t memory_bytes() const { return 2 * stage_bytes() + threads_ * copy_bytes_ + 64; }

  // Called once by each thread, with the same memory. Returns when there is nothing left to take.
  void run(char* memory) {
    memory += -reinterpret_cast<uintptr_t>(memory) & 63;
    char* const copy = memory + 2 * stage_bytes() + callers_.fetch_add(1) * copy_bytes_;
    for (int64_t index = 0; index < column_stages_ * k_stages_; ++index) {
      const Part part = part_of(index);
      char* const packed = memory + index % 2 * stage_bytes();
      pack_stage(index, part, packed);
      compute_stage(index, part, packed, copy);
    }
  }

 private:
  static constexpr int64_t kTaskRows = 84, kTaskPanels = 4, kTasksPerThread = 4, kPackPanels = 4;
  static constexpr int64_t kLeastStageBytes = int64_t(1) << 20, kMostStageBytes = int64_t(8) << 20;

  struct alignas(64) Stage {
    std::atomic<int64_t> next_pack{0}, packs_done{0}, next_task{0}, tasks_done{0};
  };
  struct Part {
    int64_t first_panel, panels, first_block, blocks, round;  // round: stages of the same columns before this one
  };

  Part part_of(int64_t index) const {
    Part part;
    part.first_panel = index / k_stages_ * stage_panels_;
    part.panels = std::min(stage_panels_, gemm_pieces(p_.columns, width_) - part.first_panel);
    part.round = index % k_stages_;
    part.first_block = part.round * stage_blocks_;
    part.blocks = std::min(stage_blocks_, gemm_pieces(p_.k, depth_) - part.first_block);
    return part;
  }
  int64_t stage_bytes() const { return stage_blocks_ * stage_panels_ * panel_bytes_; }
  int64_t tasks() const { return row_tasks_ * column_tasks_; }
  const void* at(const void* base, int64_t offset) const { return static_cast<const char*>(base) + offset * size_; }

  // a is read where it is if its rows are contiguous, unless its tiles would fall into the same few sets of the caches:
  // then its tasks pack it. Direct over packed, GFLOP/s: 1024 x 1536 (rows 6 KiB apart) 220 over 212; rows a multiple
  // of 4 KiB apart: 1024 x 1024 173 over 203, 512 x 3072 188 over 206. By columns, (1536,1024)x(1024,384) on AVX2: 125
  // over 152.
  bool copies() const { return p_.a_k_stride != 1 || p_.a_row_stride * size_ % 4096 == 0; }

  static void wait(const std::atomic<int64_t>& counter, int64_t value) {
    for (int64_t turns = 0; counter.load(std::memory_order_acquire) < value; ++turns) {
      if (turns > 1000) std::this_thread::yield();
    }
  }

  void pack_stage(int64_t index, const Part& part, char* packed) {
    Stage& stage = stages_[index];
    const int64_t groups = gemm_pieces(part.panels, kPackPanels), packs = groups * part.blocks;
    int64_t done = 0;
    for (int64_t t; (t = stage.next_pack.fetch_add(1, std::memory_order_relaxed)) < packs; ++done) {
      if (index >= 2) wait(stages_[index - 2].tasks_done, tasks());  // whose memory this is
      const int64_t block = t / groups, from = t % groups * kPackPanels;
      const int64_t count = std::min(kPackPanels, part.panels - from), column = (part.first_panel + from) * width_;
      const int64_t start = (part.first_block + block) * depth_;
      table_.gemm_pack[dtype_](packed + (block * stage_panels_ + from) * panel_bytes_, depth_ * width_,
                               at(p_.b, start * p_.b_k_stride + column * p_.b_column_stride), p_.b_k_stride,
                               p_.b_column_stride, std::min(depth_, p_.k - start),
                               std::min(count * width_, p_.columns - column));
    }
    stage.packs_done.fetch_add(done, std::memory_order_release);
    wait(stage.packs_done, packs);
  }

  void compute_stage(int64_t index, const Part& part, const char* packed, char* copy) {
    Stage& stage = stages_[index];
    int64_t done = 0;
    for (int64_t t; (t = stage.next_task.fetch_add(1, std::memory_order_relaxed)) < tasks(); ++done) {
      if (part.round > 0) wait(progress_[t], index);  // the same part of c, in all stages before this one
      compute(t, part, packed, copy);
      progress_[t].fetch_add(1, std::memory_order_release);
    }
    stage.tasks_done.fetch_add(done, std::memory_order_release);
  }

  void compute(int64_t task, const Part& part, const char* packed, char* copy) const {
    const int64_t row_task = task / column_tasks_, column_task = task % column_tasks_;
    const int64_t row = p_.rows * row_task / row_tasks_;
    const int64_t panel = part.panels * column_task / column_tasks_;
    const int64_t panels_end = part.panels * (column_task + 1) / column_tasks_;
    const int64_t column = (part.first_panel + panel) * width_;
    if (panel == panels_end) return;
    GemmBlock block{};
    block.rows = p_.rows * (row_task + 1) / row_tasks_ - row;
    block.columns = std::min((panels_end - panel) * width_, p_.columns - column);
    block.c = static_cast<char*>(p_.c) + (row * p_.c_stride + column) * size_;
    block.c_stride = p_.c_stride;
    block.b_k_stride = width_;
    block.b_panel_stride = depth_ * width_;
    block.b_is_padded = true;
    for (int64_t i = 0; i < part.blocks; ++i) {
      const int64_t start = (part.first_block + i) * depth_;
      block.k = std::min(depth_, p_.k - start);
      block.a = at(p_.a, row * p_.a_row_stride + start * p_.a_k_stride);
      block.a_row_stride = p_.a_row_stride;
      block.a_k_stride = p_.a_k_stride;
      if (copies_) {
        table_.gemm_pack_rows[dtype_](copy, block.a, p_.a_row_stride, p_.a_k_stride, block.k, block.rows);
        block.a = copy;
        block.a_row_stride = 1;
        block.a_k_stride = table_.gemm_pitch[dtype_];
        block.a_tile_stride = block.k * table_.gemm_pitch[dtype_];
      }
      block.b = packed + (i * stage_panels_ + panel) * panel_bytes_;
      block.bias = p_.bias && start == 0 ? at(p_.bias, column) : nullptr;
      block.accumulate = p_.accumulate || start > 0;
      table_.gemm_block[dtype_](block);
      if (start + block.k == p_.k) gemm_finish(p_, block.c, block.rows, block.columns, size_);
    }
  }

  const GemmProblem p_;
  const KernelTable& table_;
  const int dtype_;
  const int64_t size_, width_, depth_, threads_;
  int64_t panel_bytes_, stage_blocks_, stage_panels_, k_stages_, column_stages_, row_tasks_, column_tasks_, copy_bytes_;
  bool copies_;
  std::unique_ptr<Stage[]> stages_;
  std::unique_ptr<std::atomic<int64_t>[]> progress_;  // how many stages of each task are done, in whatever order
  std::atomic<int64_t> callers_{0};
};

}  // namespace rusttorch
