// Elements that equal an extreme, counted and given their share, against a loop: rows and columns, ties and NaNs.
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

class ReduceEqual : public IsaTest {};

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

Array few_values(int dtype, int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  Array result(dtype, n);
  for (int64_t i = 0; i < n; ++i) result.set(i, random() % 8 == 0 ? kNaN : double(random() % 4));
  return result;
}
bool counts(double x, double value, bool nan_is_equal) {
  return x == value || (nan_is_equal && std::isnan(x) && std::isnan(value));
}

TEST_P(ReduceEqual, RowsAreThoseOfALoop) {
  const KernelTable& k = kernels();
  for (const int dtype : {kFloat32, kFloat64}) {
    for (const int64_t size : {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 129, 1000}) {
      for (const bool nan_is_equal : {false, true}) {
        const int64_t rows = 5;
        const Array in = few_values(dtype, rows * size, uint32_t(size)), values = few_values(dtype, rows, 1);
        Array shares(dtype, rows), rests(dtype, rows), out(dtype, rows * size);
        for (int64_t row = 0; row < rows; ++row) shares.set(row, 10 + double(row)), rests.set(row, -double(row));
        std::vector<int64_t> found(rows + 1, -7);
        k.count_equal[dtype](found.data(), in.data(), values.data(), rows, size, nan_is_equal);
        k.share_equal[dtype](out.data(), in.data(), values.data(), shares.data(), rests.data(), rows, size,
                             nan_is_equal);
        ASSERT_EQ(found.back(), -7);
        for (int64_t row = 0; row < rows; ++row) {
          int64_t expected = 0;
          for (int64_t i = row * size; i < (row + 1) * size; ++i) {
            const bool counted = counts(in.get(i), values.get(row), nan_is_equal);
            expected += counted;
            ASSERT_EQ(out.get(i), counted ? shares.get(row) : rests.get(row)) << size << " " << i;
          }
          ASSERT_EQ(found[row], expected) << kDtypeNames[dtype] << " " << size << " row " << row;
        }
      }
    }
  }
}

TEST_P(ReduceEqual, ColumnsAreThoseOfALoop) {
  const KernelTable& k = kernels();
  for (const int dtype : {kFloat32, kFloat64}) {
    for (const int64_t columns : {1, 3, 8, 16, 17, 40, 65}) {
      const int64_t size = 9, stride = columns + 3;
      const Array in = few_values(dtype, size * stride, uint32_t(columns)), values = few_values(dtype, columns, 2);
      Array found(dtype, columns), shares(dtype, columns), rests(dtype, columns), out(dtype, size * stride);
      for (int64_t i = 0; i < size * stride; ++i) out.set(i, -7);
      for (int64_t c = 0; c < columns; ++c) found.set(c, 2), shares.set(c, 10 + double(c)), rests.set(c, kNaN);
      k.count_equal_columns[dtype](found.data(), in.data(), values.data(), size, columns, stride);
      k.share_equal_columns[dtype](out.data(), in.data(), values.data(), shares.data(), rests.data(), size, columns,
                                   stride);
      for (int64_t c = 0; c < columns; ++c) {
        double expected = 2;
        for (int64_t row = 0; row < size; ++row) {
          const bool counted = counts(in.get(row * stride + c), values.get(c), false);
          expected += counted;
          ASSERT_TRUE(same(out.get(row * stride + c), counted ? shares.get(c) : kNaN)) << columns << " " << c;
        }
        ASSERT_EQ(found.get(c), expected) << kDtypeNames[dtype] << " " << columns << " column " << c;
      }
      for (int64_t row = 0; row < size; ++row) {
        for (int64_t c = columns; c < stride; ++c) ASSERT_EQ(out.get(row * stride + c), -7);
      }
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(ReduceEqual);

}  // namespace
}  // namespace rusttorch::test
