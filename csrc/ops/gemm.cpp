#include "gemm.h"

#include <cstring>

#include "results.h"

namespace rusttorch {
namespace {

// Nanoseconds of one core: multiply-adds at three vectors each (half of what two units do at 3 GHz), and what memory
// brings.
double compute_cost(double multiply_adds, int dtype) {
  return multiply_adds / (kernels().float_lanes * (gemm_element_size(dtype) == 4 ? 3.0 : 1.5));
}
constexpr double kBytesPerNanosecond = 16;
// Multiply-adds up to which threads share nothing: 160^3.
constexpr double kSmallProduct = 4 << 20;
// Multiply-adds from which a thread packs: 100^3.
constexpr double kPackedProduct = 1 << 20;

// work() on `threads` threads, of which this is one.
template <class Work>
void on_threads(int64_t threads, const Work& work) {
  if (threads == 1) return work();
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) work();
  });
}

void run_tasks(const GemmProblem& p, int dtype, int64_t threads) {
  GemmTasks tasks(p, dtype, threads);
  Tensor memory;
  if (tasks.memory_bytes() > 0) memory = empty_result({tasks.memory_bytes()}, at::kByte);
  char* const data = memory.defined() ? static_cast<char*>(memory.data_ptr()) : nullptr;
  on_threads(threads, [&] { tasks.run(data); });
}

void run_swapped(const GemmProblem& p, int dtype, int64_t threads) {
  SwappedTasks tasks(p, dtype, threads);
  const Tensor memory = empty_result({tasks.memory_bytes()}, at::kByte);
  tasks.pack(static_cast<char*>(memory.data_ptr()));
  on_threads(threads, [&] { tasks.run(); });
}

// Two threads for less work than elsewhere, because a share of a product needs nothing from the others: (64,64)x(64,64)
// with AVX-512 takes 4.8 us on one and 3.1 on two.
constexpr double kNanosecondsOfTwo = 5000;
int64_t threads_for(double nanoseconds) {
  if (is_forked_child() || at::in_parallel_region()) return 1;
  const int64_t least = nanoseconds > kNanosecondsOfTwo ? 2 : 1, most = at::get_num_threads();
  return std::clamp<int64_t>(static_cast<int64_t>(nanoseconds / kNanosecondsPerThread), std::min(least, most), most);
}

// Columns of b go to threads; each element of b is used once, or a few times. In one range each: in chunks of 32
// columns (1,20000)x(20000,500) took 2.3 times as long, because every row begins anew.
void run_few_rows(const GemmProblem& p, int dtype, GemmPath path) {
  const int64_t size = gemm_element_size(dtype);
  const double cost = std::max(static_cast<double>(p.k * size) / kBytesPerNanosecond,
                               compute_cost(static_cast<double>(p.k * p.rows), dtype));
  for_each_share(p.columns, cost,
                 [&](int64_t begin, int64_t end) { gemm_serial(p.columns_from(begin, end, size), dtype, path); });
}

// A few columns of b, copied, make dot products of what would read a with many rows at once. (768,3072)x(3072,2): 1590
// us without on AVX2, 430 with.
bool wants_columns_of_b(const GemmProblem& p) {
  return p.columns <= kMostDotRows && p.rows >= 64 && p.a_k_stride == 1 && p.b_k_stride != 1 && !p.bias &&
         !p.activation;
}

// Each thread computes its share on its own: no memory, no waiting, and nothing is packed twice where columns are
// shared.
void run_shares(const GemmProblem& p, int dtype, int64_t threads) {
  const int64_t size = gemm_element_size(dtype), width = kernels().gemm_width[dtype];
  const int64_t panels = gemm_pieces(p.columns, width), most_panels = gemm_pieces(panels, threads);
  // What the busiest thread has, in multiply-adds for each value of k. (96,96)x(96,96) on AVX-512 has a panel and a
  // half: 12.7 us by columns, 8.5 by rows; (128,128)x(128,96) 20 over 14.
  const int64_t by_columns = std::min(most_panels * width, p.columns) * p.rows;
  const int64_t by_rows = p.columns * gemm_pieces(p.rows, threads);
  if (panels >= threads && 8 * by_columns <= 9 * by_rows) {
    at::parallel_for(0, panels, most_panels, [&](int64_t begin, int64_t end) {
      gemm_serial(p.columns_from(begin * width, std::min(end * width, p.columns), size), dtype, GemmPath::tiles);
    });
    return;
  }
  at::parallel_for(0, p.rows, gemm_pieces(p.rows, threads), [&](int64_t begin, int64_t end) {
    gemm_serial(p.rows_from(begin, end, size), dtype, GemmPath::tiles);
  });
}

void run_turned(const GemmProblem& p, int dtype) {
  if (const GemmPath path = gemm_path(p, dtype); path != GemmPath::tiles) return run_few_rows(p, dtype, path);
  const double multiply_adds = static_cast<double>(p.rows) * static_cast<double>(p.columns) * static_cast<double>(p.k);
  const int64_t threads = threads_for(compute_cost(multiply_adds, dtype));
  if (threads == 1 && multiply_adds < kPackedProduct) return gemm_serial(p, dtype);
  if (threads > 1 && multiply_adds < kSmallProduct) return run_shares(p, dtype, threads);
  if (SwappedTasks::suits(p, dtype)) return run_swapped(p, dtype, threads);
  run_tasks(p, dtype, threads);
}

}  // namespace

void run_gemm(const GemmProblem& problem, int dtype) {
  GemmProblem columns_of_b = problem;
  Tensor copy;
  if (wants_columns_of_b(problem)) {
    const int64_t size = gemm_element_size(dtype);
    copy = empty_result({problem.columns * problem.k * size}, at::kByte);
    char* const to = static_cast<char*>(copy.data_ptr());
    for (int64_t j = 0; j < problem.columns; ++j) {
      for (int64_t k = 0; k < problem.k; ++k) {
        const int64_t from = k * problem.b_k_stride + j * problem.b_column_stride;
        std::memcpy(to + (j * problem.k + k) * size, static_cast<const char*>(problem.b) + from * size, size);
      }
    }
    columns_of_b.b = to;
    columns_of_b.b_k_stride = 1;
    columns_of_b.b_column_stride = problem.k;
  }
  run_turned(columns_of_b.with_short_side_first(), dtype);
}

void run_gemm_batch(const GemmProblem& first, int64_t count, int64_t a_step, int64_t b_step, int64_t c_step,
                    int dtype) {
  const int64_t size = gemm_element_size(dtype);
  const double multiply_adds =
      static_cast<double>(first.rows) * static_cast<double>(first.columns) * static_cast<double>(first.k);
  const double cost = compute_cost(multiply_adds, dtype);
  const auto problem = [&](int64_t i) {
    GemmProblem p = first;
    p.a = static_cast<const char*>(p.a) + i * a_step * size;
    p.b = static_cast<const char*>(p.b) + i * b_step * size;
    p.c = static_cast<char*>(p.c) + i * c_step * size;
    return p.with_short_side_first();
  };
  // Few large products: all threads on each.
  if (count < 2 * at::get_num_threads() && cost > 20 * kNanosecondsPerThread) {
    for (int64_t i = 0; i < count; ++i) run_turned(problem(i), dtype);
    return;
  }
  // Of 8 x (512,512) TN 0.68 of MKL's speed without packing, 1.05 with; 4 x (128,128) 0.9 with packing.
  const bool packs = multiply_adds >= kSmallProduct && gemm_path(problem(0), dtype) == GemmPath::tiles;
  for_each_range(count, cost, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (packs) run_tasks(problem(i), dtype, 1);
      else gemm_serial(problem(i), dtype);
    }
  });
}

}  // namespace rusttorch
