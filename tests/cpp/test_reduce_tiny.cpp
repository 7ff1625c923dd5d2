// Reductions of many small matrices, and of matrices of few columns without gaps, against the kernels of rows.
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

class ReduceTiny : public IsaTest {};

// [outer][size][inner] of random numbers, with ties and, if asked, some NaNs.
Array random_matrices(int dtype, int64_t n, uint32_t seed, bool nans) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0.5, 2);
  Array result(dtype, n);
  for (int64_t i = 0; i < n; ++i) {
    const bool round = random() % 2;
    const double x = normal(random);
    result.set(i, nans && random() % 8 == 0 ? std::numeric_limits<double>::quiet_NaN() : round ? std::round(x) : x);
  }
  return result;
}
Array row_at(const Array& in, int dtype, int64_t first, int64_t size, int64_t stride) {
  Array row(dtype, size);
  for (int64_t k = 0; k < size; ++k) row.set(k, in.get(first + k * stride));
  return row;
}
bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

struct Sizes {
  int64_t outer, size, inner;
};
std::vector<Sizes> all_sizes() {
  std::vector<Sizes> result;
  for (const int64_t outer : {1, 17, 300}) {
    for (const int64_t size : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 130}) {
      for (const int64_t inner : {1, 2, 3, 4, 5, 15}) {
        if (kEmulated && outer * size * inner > kMostElements / 4) continue;
        if (size * inner <= 2048) result.push_back({outer, size, inner});
      }
    }
  }
  return result;
}

TEST_P(ReduceTiny, SumsAreThoseOfRows) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    const KernelTable& k = kernels();
    for (const auto& [outer, size, inner] : all_sizes()) {
      const Array in = random_matrices(dtype, outer * size * inner, uint32_t(size * 31 + inner), false);
      std::vector<double> sums(outer * inner + 1, -7), deviations(outer * inner + 1, -7);
      k.sum_tiny[dtype](sums.data(), in.data(), outer, size, inner);
      k.deviation_tiny[dtype](deviations.data(), in.data(), outer, size, inner);
      ASSERT_EQ(sums.back(), -7);
      ASSERT_EQ(deviations.back(), -7);
      for (int64_t r = 0; r < outer * inner; ++r) {
        const Array row = row_at(in, dtype, r / inner * size * inner + r % inner, size, inner);
        double sum = 0, deviation = 0;
        k.sum_rows[dtype](&sum, row.data(), 1, size, false);
        k.deviation_rows[dtype](&deviation, row.data(), 1, size);
        ASSERT_EQ(sum, sums[r]) << kDtypeNames[dtype] << " " << outer << "x" << size << "x" << inner;
        ASSERT_EQ(deviation, deviations[r]) << kDtypeNames[dtype] << " " << outer << "x" << size << "x" << inner;
      }
    }
  }
}

TEST_P(ReduceTiny, ExtremesAreThoseOfRows) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    const KernelTable& k = kernels();
    for (const auto& [outer, size, inner] : all_sizes()) {
      const bool nans = outer == 17;
      const Array in = random_matrices(dtype, outer * size * inner, uint32_t(size * 37 + inner), nans);
      for (const bool smallest : {false, true}) {
        Array values(dtype, outer * inner), alone(dtype, outer * inner);
        std::vector<int64_t> places(outer * inner, -1);
        const ExtremeTinyKernel tiny = (smallest ? k.min_tiny : k.max_tiny)[dtype];
        tiny(values.data(), places.data(), in.data(), outer, size, inner);
        tiny(alone.data(), nullptr, in.data(), outer, size, inner);
        ASSERT_TRUE(values.guards_intact() && alone.guards_intact());
        for (int64_t r = 0; r < outer * inner; ++r) {
          const Array row = row_at(in, dtype, r / inner * size * inner + r % inner, size, inner);
          Array value(dtype, 1);
          int64_t place = -1;
          (smallest ? k.min_rows : k.max_rows)[dtype](value.data(), &place, row.data(), 1, size, false);
          ASSERT_EQ(place, places[r]) << kDtypeNames[dtype] << " " << outer << "x" << size << "x" << inner;
          ASSERT_TRUE(same(value.get(0), values.get(r))) << kDtypeNames[dtype] << " " << size << "x" << inner;
          ASSERT_TRUE(same(value.get(0), alone.get(r))) << kDtypeNames[dtype] << " " << size << "x" << inner;
        }
      }
    }
  }
}

TEST_P(ReduceTiny, FewColumnsWithoutGaps) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    const KernelTable& k = kernels();
    for (const int64_t size : {127, 128, 129, 300, 9000}) {
      for (const int64_t columns : {2, 3, 4, 7, 8, 17, 31, 32, 33}) {
        if (kEmulated && size * columns > kMostElements) continue;
        const Array in = random_matrices(dtype, size * columns, uint32_t(size + columns), false);
        std::vector<double> sums(columns), deviations(columns), squares(columns), means(columns);
        k.sum_columns[dtype](sums.data(), in.data(), size, columns, columns);
        k.deviation_columns[dtype](deviations.data(), in.data(), size, columns, columns);
        for (int64_t c = 0; c < columns; ++c) means[c] = sums[c] / double(size);
        k.squares_columns[dtype](squares.data(), in.data(), size, columns, columns, means.data());
        for (int64_t c = 0; c < columns; ++c) {
          const Array row = row_at(in, dtype, c, size, columns);
          double sum = 0, deviation = 0;
          k.sum_rows[dtype](&sum, row.data(), 1, size, false);
          k.deviation_rows[dtype](&deviation, row.data(), 1, size);
          ASSERT_EQ(sum, sums[c]) << kDtypeNames[dtype] << " " << size << "x" << columns;
          ASSERT_EQ(deviation, deviations[c]) << kDtypeNames[dtype] << " " << size << "x" << columns;
          ASSERT_EQ(squares[c], k.squares_row[dtype](row.data(), size, means[c])) << kDtypeNames[dtype] << " " << size;
        }
      }
    }
  }
}

TEST_P(ReduceTiny, EveryIsaGivesTheSameBits) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    for (const auto& [outer, size, inner] : all_sizes()) {
      const Array in = random_matrices(dtype, outer * size * inner, uint32_t(size), false);
      std::vector<double> sums(outer * inner), expected(outer * inner);
      kernels().deviation_tiny[dtype](sums.data(), in.data(), outer, size, inner);
      ASSERT_EQ(use_isa("scalar"), "");
      kernels().deviation_tiny[dtype](expected.data(), in.data(), outer, size, inner);
      ASSERT_EQ(use_isa(GetParam()), "");
      ASSERT_EQ(sums, expected) << kDtypeNames[dtype] << " " << size << "x" << inner;
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(ReduceTiny);

}  // namespace
}  // namespace rusttorch::test
