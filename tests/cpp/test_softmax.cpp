// softmax and log_softmax, forward and backward, along rows and down columns, on every ISA of this CPU.
#include <algorithm>
#include <cmath>

#include "isa_test.h"
#include "softmax_data.h"
#include "vec_checks.h"

namespace rusttorch::test {
namespace {

class SoftmaxTest : public IsaTest {};

template <class T>
constexpr DtypeIndex index_of = std::is_same_v<T, float>      ? kFloat32
                                : std::is_same_v<T, double>   ? kFloat64
                                : std::is_same_v<T, bfloat16> ? kBFloat16
                                                              : kFloat16;

// Runs body<T>(args...) for the four types.
#define FOR_EACH_TYPE(body) (body<float>(), body<double>(), body<bfloat16>(), body<float16>())

// Every length of a short row, both sides of a block (256, double 128) and of the stack scratch (4096), a vocabulary.
constexpr int64_t kSizes[] = {1,  2,  3,  4,  5,  7,  8,   9,   15,  16,  17,  24,  31,  32,   33,   47,   48,
                              49, 50, 63, 64, 65, 66, 100, 127, 128, 129, 255, 256, 257, 1000, 4096, 4113, 32000};
constexpr int64_t rows_for(int64_t size) { return size > 4096 ? 2 : 5; }
constexpr double kSpreads[] = {4, 60, 800};  // beyond about 50 exponentials underflow, in float32

template <class T>
std::vector<T> rows_of(bool is_log, const std::vector<T>& in, int64_t size) {
  std::vector<T> out(in.size());
  const KernelTable& table = kernels();
  (is_log ? table.log_softmax : table.softmax)[index_of<T>](out.data(), in.data(), int64_t(in.size()) / size, size);
  return out;
}
template <class T>
std::vector<T> rows_backward_of(bool is_log, const std::vector<T>& grad, const std::vector<T>& y, int64_t size) {
  std::vector<T> out(y.size());
  const KernelTable& table = kernels();
  (is_log ? table.log_softmax_backward : table.softmax_backward)[index_of<T>](out.data(), grad.data(), y.data(),
                                                                              int64_t(y.size()) / size, size);
  return out;
}

// Distance to the reference. softmax: in ULP beyond what the rounding of x - max costs (half its last place, as in
// PyTorch), at most 5: an exponential, a sum, a reciprocal, a product. log_softmax: in last places of its differences.
template <class T>
void check_values() {
  using R = Real<T>;
  using C = std::conditional_t<std::is_same_v<T, double>, double, float>;
  for (const bool is_log : {false, true}) {
    double worst = 0;
    for (const int64_t size : kSizes) {
      for (const double spread : kSpreads) {
        if (size > 1000 && spread != kSpreads[1]) continue;
        const std::vector<T> in = random_values<T>(size * rows_for(size), spread, uint32_t(size));
        const std::vector<T> out = rows_of(is_log, in, size);
        for (int64_t row = 0; row < rows_for(size); ++row) {
          const std::vector<R> expected = softmax_reference(in.data() + row * size, size, is_log);
          R max = -INFINITY;
          for (int64_t i = 0; i < size; ++i) max = std::max(max, R(widen(in[row * size + i])));
          for (int64_t i = 0; i < size; ++i) {
            const double exact = double(expected[i]);
            const double unit = is_log ? spacing<T>(std::fabs(exact) + 1) : spacing<T>(exact);
            const double difference = double(max - R(widen(in[row * size + i])));
            const double allowed = is_log ? 0 : exact * spacing<C>(difference) / 2;
            const double error = double(std::fabs(R(widen(out[row * size + i])) - expected[i])) - allowed;
            worst = std::max(worst, error / unit);
          }
        }
      }
    }
    ::testing::Test::RecordProperty((is_log ? "log_softmax_" : "softmax_") + std::to_string(index_of<T>),
                                    std::to_string(worst));
    EXPECT_LE(worst, sizeof(T) == 2 ? 0.51 : is_log ? 1.5 : 5.0) << (is_log ? "log_softmax" : "softmax") << sizeof(T);
  }
}
TEST_P(SoftmaxTest, IsCloseToTheRealValue) { FOR_EACH_TYPE(check_values); }

// Equal values round all in one direction. Without the blocks of softmax.h this is 90 ULP off.
TEST_P(SoftmaxTest, EqualValuesDoNotDrift) {
  for (const float low : {-0.3f, -0.7f, -1.1f, -3.3f}) {
    std::vector<float> in(32000, low);
    in[0] = 0;
    const std::vector<float> out = rows_of(false, in, 32000);
    const std::vector<double> expected = softmax_reference(in.data(), 32000, false);
    for (int i = 0; i < 2; ++i) {
      EXPECT_LE(std::fabs(out[i] - double(expected[i])) / spacing<float>(double(expected[i])), 6) << low << " " << i;
    }
  }
}

// Sums against the absolute values of their terms.
template <class T>
void check_gradients() {
  using R = Real<T>;
  constexpr bool is_small = sizeof(T) == 2;
  const double unit = std::is_same_v<T, double> ? 0x1p-53 : 0x1p-24;
  for (const bool is_log : {false, true}) {
    for (const int64_t size : kSizes) {
      const std::vector<T> y = rows_of(is_log, random_values<T>(size * rows_for(size), 5, 1), size);
      const std::vector<T> grad = random_values<T>(size * rows_for(size), 1, 2);
      const std::vector<T> out = rows_backward_of(is_log, grad, y, size);
      for (int64_t row = 0; row < rows_for(size); ++row) {
        R sum = 0, absolute = 0;
        for (int64_t i = row * size; i < (row + 1) * size; ++i) {
          const R term = R(widen(grad[i])) * (is_log ? 1 : R(widen(y[i])));
          sum += term;
          absolute += std::fabs(term);
        }
        for (int64_t i = row * size; i < (row + 1) * size; ++i) {
          const R g = widen(grad[i]), value = widen(y[i]), factor = is_log ? std::exp(value) : value;
          const double exact = double(is_log ? g - factor * sum : factor * (g - sum));
          const double magnitude =
              double(is_log ? std::fabs(g) + factor * absolute : factor * (std::fabs(g) + absolute));
          const double bound = 8 * unit * magnitude + (is_small ? 0.51 : 1) * spacing<T>(exact);
          ASSERT_LE(std::fabs(widen(out[i]) - exact), bound) << size << " " << i << " log " << is_log;
        }
      }
    }
  }
}
TEST_P(SoftmaxTest, GradientIsCloseToTheRealValue) { FOR_EACH_TYPE(check_gradients); }

// bfloat16 and float16 are the float32 results, rounded once.
template <class T>
void check_rounded_once() {
  for (const bool is_log : {false, true}) {
    for (const int64_t size : kSizes) {
      const std::vector<T> in = random_values<T>(size * 2, 8, 3), out = rows_of(is_log, in, size);
      std::vector<float> in32;
      for (const T value : in) in32.push_back(float(widen(value)));
      const std::vector<float> out32 = rows_of(is_log, in32, size);
      for (int64_t i = 0; i < 2 * size; ++i) ASSERT_EQ(widen(out[i]), rounded_to<T>(out32[i])) << size << " " << i;
    }
  }
}
TEST_P(SoftmaxTest, ReducedPrecisionRoundsOnce) {
  check_rounded_once<bfloat16>();
  check_rounded_once<float16>();
}

// Unequal splits of the columns, so that last vectors overlap and too few columns for a vector occur.
template <class T>
void check_columns() {
  for (const bool is_log : {false, true}) {
    for (const int64_t size : kSizes) {
      for (const int64_t columns : {1, 3, 7, 9, 21, 133, 530}) {
        if (size * columns > (size % 2 ? 50000 : 5000)) continue;
        const std::vector<T> in = random_values<T>(size * columns, 8, 5), grad = random_values<T>(size * columns, 1, 6);
        const std::vector<T> expected = rows_of(is_log, in, size);
        const std::vector<T> expected_grad = rows_backward_of(is_log, grad, expected, size);
        const std::vector<T> in_t = transposed(in, columns, size), grad_t = transposed(grad, columns, size);
        const std::vector<T> y_t = transposed(expected, columns, size);
        const KernelTable& table = kernels();
        for (const int64_t split : {columns, columns / 3}) {
          std::vector<T> out(in.size()), out_grad(in.size());
          for (int64_t first = 0; first < columns; first += std::max<int64_t>(split, 1)) {
            const int64_t width = std::min(std::max<int64_t>(split, 1), columns - first);
            (is_log ? table.log_softmax_columns : table.softmax_columns)[index_of<T>](
                out.data() + first, in_t.data() + first, size, width, columns);
            (is_log ? table.log_softmax_columns_backward : table.softmax_columns_backward)[index_of<T>](
                out_grad.data() + first, grad_t.data() + first, y_t.data() + first, size, width, columns);
          }
          ASSERT_EQ(count_different(transposed(out, size, columns), expected), 0) << size << " " << columns;
          ASSERT_EQ(count_different(transposed(out_grad, size, columns), expected_grad), 0) << size << " " << columns;
        }
      }
    }
  }
}
TEST_P(SoftmaxTest, ColumnsGiveTheBitsOfRows) { FOR_EACH_TYPE(check_columns); }

// A column kernel writes its columns and nothing else; a row kernel its rows, although it passes their ends on the way.
template <class T>
void check_bounds() {
  for (const int64_t size : kSizes) {
    const int64_t rows = rows_for(size), columns = 21, n = size * rows;
    const std::vector<T> values = random_values<T>(n, 3, 7);
    T* const in =
        reinterpret_cast<T*>(memory_before_a_hole(n * int64_t(sizeof(T))));  // read past its end: segmentation fault
    std::copy(values.begin(), values.end(), in);
    const T mark = random_values<T>(1, 1, 8)[0];
    std::vector<T> out(n + 64, mark);
    const KernelTable& table = kernels();
    table.softmax[index_of<T>](out.data() + 32, in, rows, size);
    for (int i = 0; i < 32; ++i) {
      ASSERT_EQ(widen(out[i]), widen(mark));
      ASSERT_EQ(widen(out[32 + n + i]), widen(mark)) << size;
    }
    if (size > 4096) continue;
    const std::vector<T> wide = random_values<T>(size * columns, 3, 9);
    std::vector<T> wide_out(size * columns, mark);
    table.softmax_columns[index_of<T>](wide_out.data() + 5, wide.data() + 5, size, 11, columns);
    for (int64_t i = 0; i < size * columns; ++i) {
      if (i % columns >= 5 && i % columns < 16) continue;
      ASSERT_EQ(widen(wide_out[i]), widen(mark)) << size << " " << i;
    }
  }
}
TEST_P(SoftmaxTest, WritesNothingElse) { FOR_EACH_TYPE(check_bounds); }

template <class T>
void check_isas() {
  const std::string isa = kernels().name;
  for (const bool is_log : {false, true}) {
    for (const int64_t size : kSizes) {
      const std::vector<T> in = random_values<T>(size * 2, 30, 10), grad = random_values<T>(size * 2, 1, 11);
      const std::vector<T> here = rows_of(is_log, in, size), here_grad = rows_backward_of(is_log, grad, here, size);
      ASSERT_EQ(use_isa("scalar"), "");
      const std::vector<T> scalar = rows_of(is_log, in, size);
      const std::vector<T> scalar_grad = rows_backward_of(is_log, grad, scalar, size);
      ASSERT_EQ(use_isa(isa), "");
      ASSERT_EQ(count_different(here, scalar), 0) << size;
      ASSERT_EQ(count_different(here_grad, scalar_grad), 0) << size;
    }
  }
}
TEST_P(SoftmaxTest, EveryIsaGivesTheSameBits) { FOR_EACH_TYPE(check_isas); }

// One special value at each place of a row of ordinary ones.
TEST_P(SoftmaxTest, SpecialValuesAreThoseOfPyTorch) {
  const float inf = INFINITY;
  for (const int64_t size : {1, 2, 7, 16, 33, 64, 65, 300}) {
    for (const bool is_log : {false, true}) {
      for (float value : rows_of(is_log, std::vector<float>(size, -inf), size)) EXPECT_TRUE(std::isnan(value)) << size;
      for (int64_t place = 0; place < size; ++place) {
        for (const float special : {NAN, inf}) {
          std::vector<float> in(size, 1.0f);
          in[place] = special;
          for (float value : rows_of(is_log, in, size)) ASSERT_TRUE(std::isnan(value)) << size << " " << place;
        }
        if (size == 1) continue;
        std::vector<float> in(size, 1.0f);
        in[place] = -inf;
        const std::vector<float> out = rows_of(is_log, in, size);
        EXPECT_EQ(out[place], is_log ? -inf : 0.0f) << size;
        const float expected = is_log ? -std::log(float(size - 1)) : 1.0f / float(size - 1);
        EXPECT_NEAR(out[place ? 0 : 1], expected, 1e-6);
      }
    }
  }
  EXPECT_EQ(rows_of<float>(false, {-3e38f, 3e38f}, 2), (std::vector<float>{0, 1}));
  EXPECT_EQ(rows_of<float>(false, {5}, 1), std::vector<float>{1});
  EXPECT_EQ(rows_of<float>(true, {5}, 1), std::vector<float>{0});
  EXPECT_GT(rows_of<float>(false, {0, -100}, 2)[1], 0.0f);  // a denormal result
}

RUSTTORCH_FOR_EACH_ISA(SoftmaxTest);

}  // namespace
}  // namespace rusttorch::test
