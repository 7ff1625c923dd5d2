// Products of integers wrap: exact modulo 2^32 and 2^64, for sizes to 65 and longer inner dimensions, in every layout.
#include <random>
#include <vector>

#include "../../csrc/ops/gemm_tasks.h"
#include "isa_test.h"

namespace rusttorch::test {
namespace {

class GemmIntegersTest : public IsaTest {};

template <class T>
std::vector<T> integers(int64_t n, uint32_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<T> values(n);
  for (T& value : values) value = static_cast<T>(generator());
  return values;
}

// `layout`: bit 0 turns a, bit 1 turns b, bit 2 leaves gaps in both.
template <class T>
void check(int64_t rows, int64_t k, int64_t columns, int layout) {
  const int64_t gap = layout & 4 ? 2 : 1;
  const std::vector<T> a = integers<T>(rows * k * gap, 1), b = integers<T>(k * columns * gap, 2);
  const std::vector<T> bias = integers<T>(columns, 3), before = integers<T>(rows * columns, 4);
  std::vector<T> c = before;
  GemmProblem p{};
  p.rows = rows, p.columns = columns, p.k = k;
  p.a = a.data(), p.b = b.data(), p.c = c.data();
  p.a_row_stride = gap * (layout & 1 ? 1 : k), p.a_k_stride = gap * (layout & 1 ? rows : 1);
  p.b_k_stride = gap * (layout & 2 ? 1 : columns), p.b_column_stride = gap * (layout & 2 ? k : 1);
  p.c_stride = columns;
  p.accumulate = (rows + columns) % 3 == 0;
  if ((rows + columns) % 3 == 1) p.bias = bias.data();
  const int dtype = sizeof(T) == 4 ? kGemmInt32 : kGemmInt64;
  if (rows * k * columns < 1 << 18) {
    gemm_serial(p.with_short_side_first(), dtype);
  } else {
    GemmTasks work(p, dtype, 1);
    std::vector<char> memory(work.memory_bytes());
    work.run(memory.data());
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      uint64_t sum = p.accumulate ? uint64_t(before[i * columns + j]) : p.bias ? uint64_t(bias[j]) : 0;
      for (int64_t t = 0; t < k; ++t) {
        sum +=
            uint64_t(a[i * p.a_row_stride + t * p.a_k_stride]) * uint64_t(b[t * p.b_k_stride + j * p.b_column_stride]);
      }
      ASSERT_EQ(c[i * columns + j], static_cast<T>(sum)) << rows << "x" << k << "x" << columns << " layout " << layout;
    }
  }
}

template <class T>
void check_all() {
  for (int64_t rows = 1; rows <= 65; ++rows) {
    for (int64_t columns = 1; columns <= 65; ++columns) {
      const int64_t turn = rows * 31 + columns * 17;
      check<T>(rows, 1 + turn % 65, columns, int(turn / 3 % 8));
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  for (int layout = 0; layout < 8; ++layout) {
    check<T>(70, 900, 50, layout);
    check<T>(3, 1000, 40, layout);
  }
}

TEST_P(GemmIntegersTest, WrapInEveryLayout) {
  check_all<int32_t>();
  check_all<int64_t>();
}

RUSTTORCH_FOR_EACH_ISA(GemmIntegersTest);

}  // namespace
}  // namespace rusttorch::test
