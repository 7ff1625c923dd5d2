// logsumexp and the gradients made of it, along rows and down columns, on every ISA of this CPU.
#include <algorithm>
#include <cmath>

#include "isa_test.h"
#include "softmax_data.h"
#include "vec_checks.h"

namespace rusttorch::test {
namespace {

class LogsumexpTest : public IsaTest {};

template <class T>
constexpr DtypeIndex index_of = std::is_same_v<T, float>      ? kFloat32
                                : std::is_same_v<T, double>   ? kFloat64
                                : std::is_same_v<T, bfloat16> ? kBFloat16
                                                              : kFloat16;
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

#define FOR_EACH_TYPE(body) (body<float>(), body<double>(), body<bfloat16>(), body<float16>())

constexpr int64_t kSizes[] = {1,  2,  3,  5,   8,   15,  16,  17,  24,  31,   33,   48,   49,
                              63, 64, 65, 100, 128, 129, 255, 256, 257, 1000, 4096, 4113, 32000};
constexpr int64_t rows_for(int64_t size) { return size > 4096 ? 2 : 19; }

template <class T>
struct Sums {
  std::vector<Wide<T>> max, log_sum;
};
template <class T>
Sums<T> rows_of(const std::vector<T>& in, int64_t size) {
  const int64_t rows = int64_t(in.size()) / size;
  Sums<T> sums{std::vector<Wide<T>>(rows), std::vector<Wide<T>>(rows)};
  kernels().logsumexp[index_of<T>](sums.max.data(), sums.log_sum.data(), in.data(), rows, size);
  return sums;
}

template <class T>
void check_values() {
  using R = Real<T>;
  for (const int64_t size : kSizes) {
    for (const double spread : {4.0, 60.0, 800.0}) {
      const std::vector<T> in = random_values<T>(size * rows_for(size), spread, uint32_t(size));
      const Sums<T> sums = rows_of(in, size);
      for (int64_t row = 0; row < rows_for(size); ++row) {
        R max = -INFINITY, sum = 0;
        for (int64_t i = row * size; i < (row + 1) * size; ++i) max = std::max(max, R(widen(in[i])));
        for (int64_t i = row * size; i < (row + 1) * size; ++i) sum += std::exp(R(widen(in[i])) - max);
        ASSERT_EQ(sums.max[row], Wide<T>(max)) << size;
        const double exact = double(std::log(sum));
        ASSERT_LE(std::fabs(sums.log_sum[row] - exact) / spacing<Wide<T>>(exact + 1), 2.5) << size << " " << row;
      }
    }
  }
}
TEST_P(LogsumexpTest, IsCloseToTheRealValue) { FOR_EACH_TYPE(check_values); }

// The terms of one gradient: everything at once, or scale and maximum alone.
template <class T>
struct Terms {
  std::vector<Wide<T>> scale, offset, weight, peak;
  std::vector<int64_t> target;
  Sums<T> sums;
  Terms(const std::vector<T>& in, int64_t size)
      : scale(random_values<Wide<T>>(rows(in, size), 2, 21)),
        offset(random_values<Wide<T>>(rows(in, size), 0.1, 22)),
        weight(random_values<Wide<T>>(size, 2, 23)),
        peak(random_values<Wide<T>>(rows(in, size), 2, 24)),
        sums(rows_of(in, size)) {
    std::mt19937 random(25);
    for (int64_t row = 0; row < rows(in, size); ++row) target.push_back(row % 4 ? random() % size : -100);
  }
  static int64_t rows(const std::vector<T>& in, int64_t size) { return int64_t(in.size()) / size; }
  GradientTerms at(int64_t first, int kind) const {  // 0: logsumexp; 1: no smoothing; 2: plain; 3: weighted
    GradientTerms terms{};
    terms.max = sums.max.data() + first;
    terms.scale = scale.data() + first;
    if (kind == 0) return terms;
    terms.log_sum = sums.log_sum.data() + first;
    terms.peak = peak.data() + first;
    terms.target = target.data() + first;
    if (kind >= 2) terms.offset = offset.data() + first;
    if (kind == 3) terms.weight = weight.data();
    return terms;
  }
};
template <class T>
std::vector<T> gradient_of(const std::vector<T>& in, int64_t size, const Terms<T>& terms, int kind) {
  std::vector<T> out(in.size());
  kernels().logsumexp_backward[index_of<T>](out.data(), in.data(), int64_t(in.size()) / size, size, terms.at(0, kind));
  return out;
}

template <class T>
void check_gradients() {
  using R = Real<T>;
  const double unit = std::is_same_v<T, double> ? 0x1p-53 : 0x1p-24;
  for (const int64_t size : kSizes) {
    const std::vector<T> in = random_values<T>(size * rows_for(size), 6, 26);
    const Terms<T> terms(in, size);
    for (const int kind : {0, 1, 2, 3}) {
      const std::vector<T> out = gradient_of(in, size, terms, kind);
      for (int64_t i = 0; i < int64_t(in.size()); ++i) {
        const int64_t row = i / size, column = i % size;
        const R shift = R(terms.sums.max[row]) + (kind ? R(terms.sums.log_sum[row]) : R(0));
        const R power = R(terms.scale[row]) * std::exp(R(widen(in[i])) - shift);
        const R offset = kind < 2 ? R(0) : R(terms.offset[row]) * (kind == 3 ? R(terms.weight[column]) : R(1));
        const R peak = kind && terms.target[row] == column ? R(terms.peak[row]) : R(0);
        const double exact = double(power - offset - peak);
        const double magnitude = double(std::fabs(power) * 16 + std::fabs(offset) + std::fabs(peak));
        const double bound = 3 * unit * magnitude + (sizeof(T) == 2 ? 0.51 : 1) * spacing<T>(exact);
        ASSERT_LE(std::fabs(widen(out[i]) - exact), bound) << size << " " << i << " kind " << kind;
      }
    }
  }
}
TEST_P(LogsumexpTest, GradientIsCloseToTheRealValue) { FOR_EACH_TYPE(check_gradients); }

template <class T>
void check_in_place() {
  for (const int64_t size : kSizes) {
    const std::vector<T> in = random_values<T>(size * rows_for(size), 6, 27);
    const Terms<T> terms(in, size);
    for (const int kind : {1, 3}) {
      std::vector<T> out = in;
      kernels().logsumexp_backward[index_of<T>](out.data(), out.data(), rows_for(size), size, terms.at(0, kind));
      ASSERT_EQ(count_different(out, gradient_of(in, size, terms, kind)), 0) << size;
    }
  }
}
TEST_P(LogsumexpTest, GradientMayReplaceItsInput) { FOR_EACH_TYPE(check_in_place); }

template <class T>
void check_kept() {
  const KernelTable& table = kernels();
  for (const int64_t size : kSizes) {
    const int64_t rows = rows_for(size), n = size * rows;
    std::vector<T> in = random_values<T>(n, 6, 32);
    if (size > 2) in[size + 1] = NAN, in[size * 2 - 1] = INFINITY;  // the second row
    Terms<T> terms(in, size);
    if (size > 2) terms.scale[1] = NAN;  // as cross entropy has it where the maximum is not finite
    std::vector<T> max(rows), log_sum(rows);
    T* const kept = reinterpret_cast<T*>(memory_before_a_hole(n * int64_t(sizeof(T))));  // past its end: a fault
    for (const int kind : {1, 2, 3}) {
      table.logsumexp_kept[index_of<T>](max.data(), log_sum.data(), kept, in.data(), rows, size);
      ASSERT_EQ(count_different(max, terms.sums.max), 0) << size;
      ASSERT_EQ(count_different(log_sum, terms.sums.log_sum), 0) << size;
      std::vector<T> out(n);
      table.gradient_of_kept[index_of<T>](out.data(), kept, rows, size, terms.at(0, kind));
      ASSERT_EQ(count_different(out, gradient_of(in, size, terms, kind)), 0) << size << " kind " << kind;
      table.gradient_of_kept[index_of<T>](kept, kept, rows, size, terms.at(0, kind));  // in place
      ASSERT_EQ(count_different(std::vector<T>(kept, kept + n), out), 0) << size << " kind " << kind;
    }
  }
}
TEST_P(LogsumexpTest, KeptExponentialsGiveTheSameBits) {
  check_kept<float>();
  check_kept<double>();
}

template <class T>
void check_columns() {
  const KernelTable& table = kernels();
  for (const int64_t size : kSizes) {
    for (const int64_t columns : {1, 3, 9, 21, 133, 530}) {
      if (size * columns > (size % 2 ? 50000 : 5000)) continue;
      const std::vector<T> in = random_values<T>(size * columns, 8, 28), in_t = transposed(in, columns, size);
      const Terms<T> terms(in, size);
      for (const int64_t split : {columns, std::max<int64_t>(columns / 3, 1)}) {
        std::vector<Wide<T>> max(columns), log_sum(columns);
        std::vector<T> out(in.size());
        for (const int kind : {0, 1, 2, 3}) {
          for (int64_t first = 0; first < columns; first += split) {
            const int64_t width = std::min(split, columns - first);
            table.logsumexp_columns[index_of<T>](max.data() + first, log_sum.data() + first, in_t.data() + first, size,
                                                 width, columns);
            table.logsumexp_columns_backward[index_of<T>](out.data() + first, in_t.data() + first, size, width, columns,
                                                          terms.at(first, kind));
          }
          ASSERT_EQ(count_different(transposed(out, size, columns), gradient_of(in, size, terms, kind)), 0)
              << size << " " << columns << " kind " << kind;
        }
        ASSERT_EQ(count_different(max, terms.sums.max), 0) << size << " " << columns;
        ASSERT_EQ(count_different(log_sum, terms.sums.log_sum), 0) << size << " " << columns;
      }
    }
  }
}
TEST_P(LogsumexpTest, ColumnsGiveTheBitsOfRows) { FOR_EACH_TYPE(check_columns); }

template <class T>
void check_bounds() {
  for (const int64_t size : kSizes) {
    const int64_t rows = 3, n = size * rows;
    const std::vector<T> values = random_values<T>(n, 3, 29);
    const Terms<T> terms(values, size);
    T* const in = reinterpret_cast<T*>(memory_before_a_hole(n * int64_t(sizeof(T))));  // past its end: a fault
    std::copy(values.begin(), values.end(), in);
    const T mark = random_values<T>(1, 1, 30)[0];
    std::vector<Wide<T>> max(rows), log_sum(rows);
    kernels().logsumexp[index_of<T>](max.data(), log_sum.data(), in, rows, size);
    std::vector<T> out(n + 64, mark);
    kernels().logsumexp_backward[index_of<T>](out.data() + 32, in, rows, size, terms.at(0, 3));
    for (int i = 0; i < 32; ++i) {
      ASSERT_EQ(widen(out[i]), widen(mark));
      ASSERT_EQ(widen(out[32 + n + i]), widen(mark)) << size;
    }
    std::vector<double> sums(rows);
    kernels().smoothing_sums[index_of<T>](sums.data(), in, max.data(), nullptr, rows, size);
  }
}
TEST_P(LogsumexpTest, TouchesNothingElse) { FOR_EACH_TYPE(check_bounds); }

template <class T>
void check_smoothing() {
  for (const int64_t size : kSizes) {
    const std::vector<T> in = random_values<T>(size * 3, 6, 31);
    const Terms<T> terms(in, size);
    for (const bool weighted : {false, true}) {
      std::vector<double> out(3);
      kernels().smoothing_sums[index_of<T>](out.data(), in.data(), terms.sums.max.data(),
                                            weighted ? terms.weight.data() : nullptr, 3, size);
      for (int64_t row = 0; row < 3; ++row) {
        Real<T> sum = 0, absolute = 0;
        for (int64_t i = 0; i < size; ++i) {
          const Real<T> below = Real<T>(terms.sums.max[row]) - Real<T>(widen(in[row * size + i]));
          const Real<T> term = below * (weighted ? Real<T>(terms.weight[i]) : Real<T>(1));
          sum += term;
          absolute += std::fabs(term);
        }
        const double unit = std::is_same_v<T, double> ? 0x1p-53 : 0x1p-24;
        ASSERT_LE(std::fabs(out[row] - double(sum)), 6 * unit * double(absolute)) << size;
      }
    }
  }
}
TEST_P(LogsumexpTest, SmoothingSums) { FOR_EACH_TYPE(check_smoothing); }

template <class T>
void check_isas() {
  const std::string isa = kernels().name;
  for (const int64_t size : kSizes) {
    const std::vector<T> in = random_values<T>(size * 3, 30, 32);
    const Terms<T> terms(in, size);
    const std::vector<T> here = gradient_of(in, size, terms, 3);
    std::vector<double> sums(3), scalar_sums(3);
    kernels().smoothing_sums[index_of<T>](sums.data(), in.data(), terms.sums.max.data(), terms.weight.data(), 3, size);
    ASSERT_EQ(use_isa("scalar"), "");
    const Sums<T> scalar = rows_of(in, size);
    const std::vector<T> scalar_gradient = gradient_of(in, size, terms, 3);
    kernels().smoothing_sums[index_of<T>](scalar_sums.data(), in.data(), terms.sums.max.data(), terms.weight.data(), 3,
                                          size);
    ASSERT_EQ(use_isa(isa), "");
    ASSERT_EQ(count_different(terms.sums.max, scalar.max), 0) << size;
    ASSERT_EQ(count_different(terms.sums.log_sum, scalar.log_sum), 0) << size;
    ASSERT_EQ(count_different(here, scalar_gradient), 0) << size;
    ASSERT_EQ(sums, scalar_sums) << size;
  }
}
TEST_P(LogsumexpTest, EveryIsaGivesTheSameBits) { FOR_EACH_TYPE(check_isas); }

// One special value at each place of a row of ordinary ones, as rows and as columns.
TEST_P(LogsumexpTest, SpecialValuesAreThoseOfPyTorch) {
  const float inf = INFINITY;
  for (const int64_t size : {1, 2, 7, 16, 33, 65, 300}) {
    EXPECT_EQ(rows_of(std::vector<float>(size, -inf), size).max[0], -inf);
    EXPECT_EQ(rows_of(std::vector<float>(size, -inf), size).log_sum[0], 0);
    for (int64_t place = 0; place < size; ++place) {
      for (const float other : {1.0f, -inf, inf}) {
        std::vector<float> in(size * 9, 1.0f);  // the fourth row is special
        std::fill_n(in.begin() + 3 * size, size, other);
        in[3 * size + place] = NAN;
        ASSERT_TRUE(std::isnan(rows_of(in, size).max[3])) << size << " " << place;
        ASSERT_EQ(rows_of(in, size).max[4], 1);
        in[3 * size + place] = inf;
        ASSERT_EQ(rows_of(in, size).max[3], inf);
        std::vector<float> max(9), log_sum(9);
        kernels().logsumexp_columns[kFloat32](max.data(), log_sum.data(), transposed(in, 9, size).data(), size, 9, 9);
        ASSERT_EQ(max[3], inf);
        ASSERT_EQ(log_sum[3], 0);
        ASSERT_EQ(max[8], 1);
      }
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(LogsumexpTest);

}  // namespace
}  // namespace rusttorch::test
