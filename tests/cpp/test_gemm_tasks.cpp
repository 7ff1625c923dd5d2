// Whole products, as csrc/ops computes them: the promised chains, the same bits for any number of threads and on every
// ISA, for sizes on both sides of every block and task.
#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "../../csrc/ops/gemm_swapped.h"
#include "../../csrc/ops/gemm_tasks.h"
#include "isa_test.h"

namespace rusttorch::test {
namespace {

class GemmTasksTest : public IsaTest {};

struct Size {
  int64_t rows, k, columns;
};

template <class T>
std::vector<T> numbers(int64_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<T> values(n);
  for (T& value : values) value = T(double(generator()) / 4294967296.0 * 2 - 1);
  return values;
}

template <class T>
struct Data {
  static constexpr int dtype = std::is_same_v<T, float> ? kFloat32 : kFloat64;
  Size size;
  std::vector<T> a, b, bias, before;
  Data(Size size_)
      : size(size_),
        a(numbers<T>(size.rows * size.k, 1)),
        b(numbers<T>(size.k * size.columns, 2)),
        bias(numbers<T>(size.columns, 3)),
        before(numbers<T>(size.rows * size.columns, 4)) {}

  // `layout`: bit 0 turns a, bit 1 turns b.
  GemmProblem problem(int layout, std::vector<T>& c) const {
    GemmProblem p{};
    p.rows = size.rows, p.columns = size.columns, p.k = size.k;
    p.a = a.data(), p.b = b.data(), p.c = c.data();
    p.a_row_stride = layout & 1 ? 1 : size.k;
    p.a_k_stride = layout & 1 ? size.rows : 1;
    p.b_k_stride = layout & 2 ? 1 : size.columns;
    p.b_column_stride = layout & 2 ? size.k : 1;
    p.c_stride = size.columns;
    return p;
  }

  // Chains of gemm_depth(k) values, added in their order.
  std::vector<T> expected(const GemmProblem& p) const {
    std::vector<T> c(size.rows * size.columns);
    const int64_t depth = gemm_depth(size.k);
    for (int64_t i = 0; i < size.rows; ++i) {
      for (int64_t j = 0; j < size.columns; ++j) {
        T sum = p.accumulate ? before[i * size.columns + j] : T(0);
        for (int64_t start = 0; start < size.k; start += depth) {
          T chain = 0;
          for (int64_t k = start; k < std::min(start + depth, size.k); ++k) {
            chain =
                std::fma(a[i * p.a_row_stride + k * p.a_k_stride], b[k * p.b_k_stride + j * p.b_column_stride], chain);
          }
          if (start == 0 && p.bias) chain += bias[j];
          sum = start == 0 && !p.accumulate ? chain : sum + chain;
        }
        c[i * size.columns + j] = sum;
      }
    }
    return c;
  }

  // By gemm_serial without threads, else by tasks.
  std::vector<T> run(int layout, int store, int threads) const {
    std::vector<T> c = store == 1 ? before : std::vector<T>(before.size(), T(NAN));
    GemmProblem p = problem(layout, c);
    p.accumulate = store == 1;
    p.bias = store == 2 ? bias.data() : nullptr;
    if (threads == 0) {
      gemm_serial(p.with_short_side_first(), dtype);
      return c;
    }
    GemmTasks work(p, dtype, threads);
    std::vector<char> memory(work.memory_bytes());
    on_threads(threads, [&] { work.run(memory.data()); });
    return c;
  }
  std::vector<T> run_swapped(int layout, int store, int threads) const {
    std::vector<T> c(before.size(), T(NAN));
    GemmProblem p = problem(layout, c);
    p.bias = store == 2 ? bias.data() : nullptr;
    SwappedTasks work(p, dtype, threads);
    std::vector<char> memory(work.memory_bytes());
    work.pack(memory.data());
    on_threads(threads, [&] { work.run(); });
    return c;
  }
  template <class Work>
  static void on_threads(int threads, const Work& work) {
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back(work);
    work();
    for (std::thread& thread : others) thread.join();
  }
};

template <class T>
void check(Size size) {
  const Data<T> data(size);
  for (int layout = 0; layout < 4; ++layout) {
    const int store = int((size.rows + size.k + layout) % 3);
    std::vector<T> c(data.before.size());
    GemmProblem p = data.problem(layout, c);
    p.accumulate = store == 1;
    p.bias = store == 2 ? data.bias.data() : nullptr;
    const std::vector<T> expected = data.expected(p);
    for (const int threads : {0, 1, 2, 5, 16}) {
      if (threads == 0 && gemm_path(p.with_short_side_first(), Data<T>::dtype) == GemmPath::dots)
        continue;  // in another order
      const std::vector<T> got = data.run(layout, store, threads);
      ASSERT_TRUE(got == expected) << size.rows << "x" << size.k << "x" << size.columns << " layout " << layout
                                   << " store " << store << " threads " << threads;
    }
    if (store == 1 || !(layout & 2) || size.rows > SwappedTasks::kRows) continue;
    for (const int threads : {1, 3}) {
      ASSERT_TRUE(data.run_swapped(layout, store, threads) == expected)
          << size.rows << "x" << size.k << "x" << size.columns << " swapped, store " << store << " threads " << threads;
    }
  }
}

TEST_P(GemmTasksTest, ProductsAreTheirChains) {
  const bool slow = is_slow();
  for (const Size size : {Size{1, 1, 1}, Size{1, 70, 300}, Size{2, 9, 5000}, Size{4, 600, 33}, Size{5, 3, 1},
                          Size{7, 500, 70}, Size{8, 100, 600}, Size{50, 300, 3}, Size{85, 40, 70}, Size{30, 383, 40},
                          Size{30, 384, 40}, Size{30, 385, 40}, Size{17, 1600, 65}, Size{300, 8, 8}, Size{90, 30, 1100},
                          Size{1024, 20, 50}, Size{800, 20, 600}, Size{60, 1024, 48}, Size{20, 1030, 1025}}) {
    check<float>(size);
    if (!slow || size.rows * size.k * size.columns < 200000) check<double>(size);
  }
}

// Many tasks in both directions; rows of 4 KiB and, of double, 16, packed where there are many columns.
TEST_P(GemmTasksTest, ManyTasks) {
  if (kernels().float_lanes < 8) GTEST_SKIP() << "slow, and nothing of it depends on the ISA";
  check<float>({900, 20, 1100});
  check<float>({300, 1024, 33});
  check<float>({65, 1024, 129});
  check<double>({64, 512, 128});
  if (kEmulated) return;
  check<float>({20, 7000, 700});
  check<float>({20, 30, 80000});
  check<float>({257, 1024, 520});
  check<double>({257, 2048, 520});
}

template <class T>
void check_dots(Size size) {
  const Data<T> data(size);
  const std::string isa = kernels().name;
  const std::vector<T> here = data.run(2, 2, 0);
  ASSERT_EQ(use_isa("scalar"), "");
  const std::vector<T> scalar = data.run(2, 2, 0);
  ASSERT_EQ(use_isa(isa), "");
  ASSERT_TRUE(here == scalar) << size.rows << "x" << size.k << "x" << size.columns;
  for (int64_t row = 0; row < size.rows; ++row) {
    for (int64_t column = 0; column < size.columns; ++column) {
      double sum = data.bias[column], magnitude = std::fabs(sum);
      for (int64_t i = 0; i < size.k; ++i) {
        const double product = double(data.a[row * size.k + i]) * double(data.b[column * size.k + i]);
        sum += product;
        magnitude += std::fabs(product);
      }
      const double bound = magnitude * (double(size.k) / 32 + 6) * std::numeric_limits<T>::epsilon();
      ASSERT_NEAR(here[row * size.columns + column], sum, bound) << size.k;
    }
  }
}
TEST_P(GemmTasksTest, DotsAreTheSameOnEveryIsa) {
  for (const int64_t rows : {1, 2, 3, 4}) {
    for (const int64_t k : {1, 15, 16, 17, 63, 64, 65, 200, 1000}) {
      for (const int64_t columns : {1, 2, 3, 8}) {
        check_dots<float>({rows, k, columns});
        check_dots<double>({rows, k, columns});
      }
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(GemmTasksTest);

}  // namespace
}  // namespace rusttorch::test
