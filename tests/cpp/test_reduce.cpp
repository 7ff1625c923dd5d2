// Reductions through the kernel table: rows against columns, every ISA against scalar code, and against long double.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

constexpr int64_t kSizes[] = {1, 2, 7, 15, 16, 17, 33, 50, 64, 65, 127, 128, 129, 300, 1024, 4097, 8200, 17000};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class Reduce : public IsaTest {};

std::vector<double> random_numbers(int64_t n, uint32_t seed, double centre = 0) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(centre, 1);
  std::vector<double> values(n);
  for (double& value : values) value = normal(random);
  return values;
}

// [size][columns] of which column c is values[c].
Array columns_of(int dtype, const std::vector<std::vector<double>>& values, int64_t stride) {
  const int64_t size = values[0].size();
  Array result(dtype, size * stride);
  for (int64_t i = 0; i < size * stride; ++i) result.set(i, 1e3);
  for (size_t c = 0; c < values.size(); ++c) {
    for (int64_t i = 0; i < size; ++i) result.set(i * stride + int64_t(c), values[c][i]);
  }
  return result;
}
Array row_of(int dtype, const std::vector<double>& values) {
  Array result(dtype, values.size());
  for (size_t i = 0; i < values.size(); ++i) result.set(i, values[i]);
  return result;
}

TEST_P(Reduce, SumsAreNearAndRowsAgreeWithColumns) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    const KernelTable& k = kernels();
    ASSERT_EQ(use_isa("scalar"), "");
    const KernelTable& scalar = kernels();
    ASSERT_EQ(use_isa(GetParam()), "");
    for (const int64_t size : kSizes) {
      for (const int64_t columns : {1, 3, 16, 40, 300}) {
        if (size * columns > kMostElements) continue;
        std::vector<std::vector<double>> values;
        for (int64_t c = 0; c < columns; ++c) values.push_back(random_numbers(size, uint32_t(size + c), c % 3));
        const Array matrix = columns_of(dtype, values, columns + 2);
        std::vector<double> sums(columns), deviations(columns);
        k.sum_columns[dtype](sums.data(), matrix.data(), size, columns, columns + 2);
        k.deviation_columns[dtype](deviations.data(), matrix.data(), size, columns, columns + 2);
        for (int64_t c = 0; c < columns; ++c) {
          const Array row = row_of(dtype, values[c]);
          double sum = 0, expected = 0, deviation = 0;
          k.sum_rows[dtype](&sum, row.data(), 1, size, false);
          scalar.sum_rows[dtype](&expected, row.data(), 1, size, false);
          ASSERT_EQ(sum, expected) << kDtypeNames[dtype] << " " << size;
          ASSERT_EQ(sum, sums[c]) << kDtypeNames[dtype] << " " << size << "x" << columns << " " << c;
          k.deviation_rows[dtype](&deviation, row.data(), 1, size);
          ASSERT_EQ(deviation, deviations[c]) << kDtypeNames[dtype] << " " << size << "x" << columns << " " << c;
          long double exact = 0, magnitude = 0, squares = 0;
          for (int64_t i = 0; i < size; ++i) exact += row.get(i), magnitude += std::fabs(row.get(i));
          for (int64_t i = 0; i < size; ++i) squares += (row.get(i) - exact / size) * (row.get(i) - exact / size);
          const double unit = dtype == kFloat64 ? 0x1p-53 : 0x1p-24;
          // float64 has no wider type to add its blocks in: 3 roundings among groups, 3 among lanes, and the blocks'.
          const double roundings = dtype == kFloat64 ? 16 : 4;
          ASSERT_LE(std::fabs(double(sum - exact)), roundings * unit * double(magnitude)) << dtype << " " << size;
          if (deviation < 0) continue;  // refused: see the next test
          ASSERT_LE(std::fabs(double(deviation - squares)), 8 * unit * double(squares) + 1e-30) << size;
        }
      }
    }
  }
}

// The order of summation.h, written down.
double sum_in_order(const std::vector<float>& x) {
  double total = 0, piece = 0;
  const int64_t n = int64_t(x.size());
  for (int64_t start = 0; start < n; start += 128) {
    const int64_t count = std::min<int64_t>(128, n - start);
    int64_t size = 16;
    while (size < count) size *= 2;
    std::vector<double> block(size);
    std::copy_n(x.begin() + start, count, block.begin());
    for (int64_t half = size / 2; half > 0; half /= 2) {
      for (int64_t i = 0; i < half; ++i) {
        if (half > size / 16) block[i] = float(block[i]) + float(block[i + half]);
        else block[i] = block[i] + block[i + half];
      }
    }
    piece += block[0];
    if (start % 8192 == 8192 - 128 || count < 128 || start + 128 == n) total += piece, piece = 0;
  }
  return total;
}

// Rows, columns among others, columns that share one set of the cache, and few columns without gaps.
TEST_P(Reduce, SumsAreAddedInTheDocumentedOrder) {
  const KernelTable& k = kernels();
  std::vector<int64_t> sizes(150);
  std::iota(sizes.begin(), sizes.end(), 1);
  for (const int64_t size : {8192 - 128, 8192, 8192 + 16, 8192 + 40, 17000}) sizes.push_back(size);
  for (const int64_t size : sizes) {
    std::vector<std::vector<double>> values;
    for (int64_t c = 0; c < 20; ++c) values.push_back(random_numbers(size, uint32_t(size + c), c % 3));
    std::vector<double> expected;
    for (const std::vector<double>& column : values) {
      const std::vector<float> row(column.begin(), column.end());
      expected.push_back(sum_in_order(row));
      double sum = 0;
      k.sum_rows[kFloat32](&sum, row.data(), 1, size, false);
      ASSERT_EQ(sum, expected.back()) << size;
    }
    for (const int64_t stride : {20, 23, 1024}) {
      const Array matrix = columns_of(kFloat32, values, stride);
      std::vector<double> sums(20);
      k.sum_columns[kFloat32](sums.data(), matrix.data(), size, 20, stride);
      ASSERT_EQ(sums, expected) << size << " rows " << stride << " apart";
    }
  }
}

// Several rows are added at once; each gives the bits that it gives alone.
TEST_P(Reduce, RowsTogetherAreRowsAlone) {
  const KernelTable& k = kernels();
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    for (const int64_t size : {100, 128, 200, 4096, 8192, 10001}) {
      for (const int64_t rows : {1, 3, 4, 9, 17}) {
        if (rows * size > kMostElements) continue;
        const Array matrix = row_of(dtype, random_numbers(rows * size, uint32_t(size), 0));
        std::vector<double> sums(rows), from_memory(rows);
        k.sum_rows[dtype](sums.data(), matrix.data(), rows, size, false);
        k.sum_rows[dtype](from_memory.data(), matrix.data(), rows, size, true);
        ASSERT_EQ(from_memory, sums) << kDtypeNames[dtype] << " " << rows << "x" << size;
        for (int64_t row = 0; row < rows; ++row) {
          const char* const from = static_cast<const char*>(matrix.data()) + row * size * kDtypeSizes[dtype];
          double sum = 0;
          k.sum_rows[dtype](&sum, from, 1, size, false);
          ASSERT_EQ(sums[row], sum) << kDtypeNames[dtype] << " " << rows << "x" << size << " " << row;
        }
      }
    }
  }
}

TEST_P(Reduce, SumsOfEqualAndOfCancellingNumbers) {
  const int64_t n = 100000;
  std::vector<float> equal(n, 0.1f), cancelling(n);
  for (int64_t i = 0; i < n; ++i) cancelling[i] = i % 2 ? -1e6f - float(i % 7) : 1e6f;
  double sum = 0;
  kernels().sum_rows[kFloat32](&sum, equal.data(), 1, n, false);
  EXPECT_LE(std::fabs(sum - double(0.1f) * double(n)), 3 * 0x1p-24 * 0.1 * double(n));
  long double exact = 0, magnitude = 0;
  for (const float x : cancelling) exact += x, magnitude += std::fabs(x);
  kernels().sum_rows[kFloat32](&sum, cancelling.data(), 1, n, false);
  EXPECT_LE(std::fabs(double(sum - exact)), 3 * 0x1p-24 * double(magnitude));
}

// Deviations of 4e-3 around `mean`: right where the mean leaves them their digits, refused where it does not.
TEST_P(Reduce, DeviationsFarFromZero) {
  for (const float mean : {0.0f, 1.0f, 10.0f, 10000.0f}) {
    const int64_t n = 5000;
    std::vector<float> in(n);
    long double exact = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) in[i] = mean + float(i % 16) / 1024, exact += in[i] / (long double)n;
    for (const float x : in) squares += (x - exact) * (x - exact);
    double got = 0;
    kernels().deviation_rows[kFloat32](&got, in.data(), 1, n);
    if (mean < 10000) EXPECT_NEAR(got, double(squares), 1e-5 * double(squares)) << mean;
    else EXPECT_EQ(got, -std::numeric_limits<double>::infinity());
  }
  const std::vector<float> same(5000, 0.5f);
  double got = -1;
  kernels().deviation_rows[kFloat32](&got, same.data(), 1, 5000);
  EXPECT_EQ(got, 0);
}

struct Place {
  double value;
  int64_t place;
};
Place expected_extreme(const Array& row, int64_t size, bool smallest) {
  Place best{row.get(0), 0};
  for (int64_t i = 0; i < size; ++i) {
    const double x = row.get(i);
    if (std::isnan(x)) return {x, i};
    if (smallest ? x < best.value : x > best.value) best = {x, i};
  }
  return best;
}

// Rows that do not fit registers are searched four vectors at a time.
TEST_P(Reduce, PlacesAtEveryPosition) {
  for (const int dtype : {kFloat32, kFloat64, kBFloat16}) {
    for (const int64_t size : {129, 160, 203}) {
      for (int64_t place = 0; place < size; ++place) {
        for (const double value : {3.0, kNan}) {
          std::vector<double> row(size, 1.0);
          row[place] = row[size - 1] = value;
          const Array in = row_of(dtype, row);
          Array out(dtype, 1);
          int64_t found = -1;
          kernels().max_rows[dtype](out.data(), &found, in.data(), 1, size, false);
          ASSERT_EQ(found, place) << kDtypeNames[dtype] << " " << size << " " << value;
          ASSERT_EQ(std::isnan(out.get(0)), std::isnan(value));
        }
      }
    }
  }
}

TEST_P(Reduce, Extremes) {
  std::mt19937 random(7);
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    for (const bool smallest : {false, true}) {
      const ExtremeRowsKernel rows = (smallest ? kernels().min_rows : kernels().max_rows)[dtype];
      const ExtremeColumnsKernel down = (smallest ? kernels().min_columns : kernels().max_columns)[dtype];
      for (const int64_t size : kSizes) {
        for (int variant = 0; variant < 5; ++variant) {
          const int64_t columns = variant == 0 ? 1 : variant == 1 ? 21 : 5;
          if (kEmulated && size * columns > kMostElements) continue;
          std::vector<std::vector<double>> values;
          for (int64_t c = 0; c < columns; ++c) {
            values.push_back(random_numbers(size, uint32_t(random())));
            std::vector<double>& column = values.back();
            if (variant == 2) std::fill(column.begin(), column.end(), smallest ? HUGE_VAL : -HUGE_VAL);
            if (variant == 3) column[random() % size] = kNan, column[random() % size] = kNan;
            if (variant == 4) {  // ties
              for (double& x : column) x = std::round(x);
            }
          }
          const Array matrix = columns_of(dtype, values, columns);
          Array down_values(dtype, columns);
          std::vector<int64_t> down_places(columns, -1);
          down(down_values.data(), down_places.data(), matrix.data(), size, columns, columns);
          ASSERT_TRUE(down_values.guards_intact());
          for (int64_t c = 0; c < columns; ++c) {
            const Array row = row_of(dtype, values[c]);
            const Place expected = expected_extreme(row, size, smallest);
            Array value(dtype, 1);
            int64_t place = -1;
            rows(value.data(), &place, row.data(), 1, size, false);
            const std::string where = std::string(kDtypeNames[dtype]) + " " + std::to_string(size);
            ASSERT_TRUE(same_value(value.get(0), expected.value)) << where << " variant " << variant;
            ASSERT_EQ(place, expected.place) << where << " variant " << variant;
            ASSERT_TRUE(same_value(down_values.get(c), expected.value)) << where << " column, variant " << variant;
            ASSERT_EQ(down_places[c], expected.place) << where << " column, variant " << variant;
            rows(value.data(), nullptr, row.data(), 1, size, false);
            ASSERT_TRUE(value.get(0) == expected.value || (std::isnan(value.get(0)) && std::isnan(expected.value)));
          }
        }
      }
    }
  }
}

// Rows from memory are read several at once.
TEST_P(Reduce, ExtremesOfRowsFromMemory) {
  std::mt19937 random(8);
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    for (const bool smallest : {false, true}) {
      const ExtremeRowsKernel kernel = (smallest ? kernels().min_rows : kernels().max_rows)[dtype];
      for (const int64_t size : {100, 129, 200, 511, 512, 513, 700, 1030, 5000}) {
        for (int variant = 0; variant < 5; ++variant) {
          const int64_t rows = variant == 0 ? 4 : variant == 1 ? 3 : 11;
          std::vector<double> values = random_numbers(rows * size, uint32_t(random()));
          for (int64_t row = 0; row < rows; ++row) {
            double* const from = &values[row * size];
            if (variant == 2 && row % 2) std::fill_n(from, size, smallest ? HUGE_VAL : -HUGE_VAL);
            if (variant == 3 && row % 3) from[random() % size] = kNan, from[random() % size] = kNan;
            if (variant == 4) std::transform(from, from + size, from, [](double x) { return std::round(x); });  // ties
          }
          const Array matrix = row_of(dtype, values);
          Array extremes(dtype, rows), alone(dtype, rows);
          std::vector<int64_t> places(rows, -1);
          kernel(extremes.data(), places.data(), matrix.data(), rows, size, true);
          kernel(alone.data(), nullptr, matrix.data(), rows, size, true);
          ASSERT_TRUE(extremes.guards_intact() && alone.guards_intact());
          for (int64_t row = 0; row < rows; ++row) {
            const std::vector<double> one(&values[row * size], &values[row * size] + size);
            const Place expected = expected_extreme(row_of(dtype, one), size, smallest);
            const std::string where = std::string(kDtypeNames[dtype]) + " " + std::to_string(size) + " row " +
                                      std::to_string(row) + " variant " + std::to_string(variant);
            ASSERT_TRUE(same_value(extremes.get(row), expected.value)) << where;
            ASSERT_EQ(places[row], expected.place) << where;
            ASSERT_TRUE(alone.get(row) == expected.value || (std::isnan(alone.get(row)) && std::isnan(expected.value)))
                << where;
          }
        }
      }
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(Reduce);

}  // namespace
}  // namespace rusttorch::test
