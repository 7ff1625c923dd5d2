// The tiles and the packing of matrix products, on every ISA of this CPU: bit for bit the chain of fused multiply-adds
// that gemm.h promises, for every size to 20 and a sample of those to 65, any strides, edges of memory included.
#include <algorithm>
#include <cmath>
#include <random>

#include "isa_test.h"
#include "vec_checks.h"

namespace rusttorch::test {
namespace {

class GemmTest : public IsaTest {};

template <class T>
constexpr int index_of = std::is_same_v<T, float> ? kFloat32 : kFloat64;

constexpr int64_t kLargest = 65;
enum class LayoutA { rows, columns, strided, packed_rows, packed_columns, packed_strided, count };
enum class LayoutB { rows, packed_rows, packed_columns, packed_strided, count };
enum class Store { plain, accumulate, bias, count };

// Memory for `n` elements before a hole: reading past the end is a segmentation fault.
template <class T>
T* array_before_a_hole(int64_t n) {
  return reinterpret_cast<T*>(memory_before_a_hole(n * int64_t(sizeof(T))));
}

// a[rows][k] and b[k][columns] in a layout, so that the last element is the last before the hole.
template <class T>
struct Matrix {
  static constexpr int64_t kMemory = 4 * kLargest * kLargest;
  T* const end = array_before_a_hole<T>(kMemory) + kMemory;
  T* data = nullptr;
  int64_t row_stride = 0, column_stride = 0;
  void fill(const std::vector<T>& values, int64_t rows, int64_t columns, int64_t row, int64_t column) {
    row_stride = row, column_stride = column;
    data = end - 1 - (rows - 1) * row - (columns - 1) * column;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) data[i * row + j * column] = values[i * kLargest + j];
    }
  }
};

template <class T>
struct Products {
  std::vector<T> a, b, before, bias, chains = std::vector<T>(kLargest * kLargest);
  Matrix<T> a_memory, b_memory;
  std::vector<T> a_packed, b_packed;
  T* const bias_end = array_before_a_hole<T>(kLargest) + kLargest;

  Products() {
    std::mt19937 generator(7);
    std::uniform_real_distribution<double> distribution(-1, 1);
    for (std::vector<T>* matrix : {&a, &b, &before}) {
      for (int64_t i = 0; i < kLargest * kLargest; ++i) matrix->push_back(T(distribution(generator)));
    }
    for (int64_t i = 0; i < kLargest; ++i) bias.push_back(T(distribution(generator)));
  }

  // chains[i][j] is the chain over the first k values; call with k = 1, 2, ...
  void extend(int64_t k) {
    for (int64_t i = 0; i < kLargest; ++i) {
      for (int64_t j = 0; j < kLargest; ++j) {
        T& chain = chains[i * kLargest + j];
        chain = std::fma(a[i * kLargest + k - 1], b[(k - 1) * kLargest + j], chain);
      }
    }
  }

  void place_a(GemmBlock& block, LayoutA layout, int64_t rows, int64_t k) {
    const bool packed = layout >= LayoutA::packed_rows;
    const int order = int(layout) % 3;
    if (order == 0) a_memory.fill(a, rows, k, k + 1, 1);
    else if (order == 1) a_memory.fill(a, rows, k, 1, rows + 2);
    else a_memory.fill(a, rows, k, 2 * k + 1, 2);
    block.a = a_memory.data;
    block.a_row_stride = a_memory.row_stride;
    block.a_k_stride = a_memory.column_stride;
    block.a_tile_stride = 0;
    if (!packed) return;
    const KernelTable& table = kernels();
    const int64_t pitch = table.gemm_pitch[index_of<T>], tile_rows = table.gemm_rows[index_of<T>];
    a_packed.assign((rows + tile_rows - 1) / tile_rows * k * pitch + 1, T(NAN));
    table.gemm_pack_rows[index_of<T>](a_packed.data(), block.a, block.a_row_stride, block.a_k_stride, k, rows,
                                      tile_rows);
    ASSERT_TRUE(std::isnan(a_packed.back()));
    block.a = a_packed.data();
    block.a_row_stride = 1;
    block.a_k_stride = pitch;
    block.a_tile_stride = k * pitch;
  }

  void place_b(GemmBlock& block, LayoutB layout, int64_t k, int64_t columns) {
    const KernelTable& table = kernels();
    const int64_t width = table.gemm_width[index_of<T>], panels = (columns + width - 1) / width;
    if (layout == LayoutB::packed_columns) b_memory.fill(b, k, columns, 1, k + 1);
    else if (layout == LayoutB::packed_strided) b_memory.fill(b, k, columns, 2, 2 * k + 3);
    else b_memory.fill(b, k, columns, columns + 1, 1);
    block.b = b_memory.data;
    block.b_k_stride = b_memory.row_stride;
    block.b_panel_stride = width;
    block.b_is_padded = false;
    if (layout == LayoutB::rows) return;
    const int64_t panel_stride = k * width + 3;
    b_packed.assign(panels * panel_stride, T(NAN));
    table.gemm_pack[index_of<T>](b_packed.data(), panel_stride, b_memory.data, b_memory.row_stride,
                                 b_memory.column_stride, k, columns);
    for (int64_t panel = 0; panel < panels; ++panel) {  // packing writes the panels and nothing else
      for (int i = 1; i <= 3; ++i) ASSERT_TRUE(std::isnan(b_packed[(panel + 1) * panel_stride - i]));
    }
    block.b = b_packed.data();
    block.b_k_stride = width;
    block.b_panel_stride = panel_stride;
    block.b_is_padded = true;
  }

  void check(int64_t rows, int64_t columns, int64_t k, LayoutA layout_a, LayoutB layout_b, Store store) {
    GemmBlock block;
    place_a(block, layout_a, rows, k);
    place_b(block, layout_b, k, columns);
    const int64_t pitch = columns + 3;
    std::vector<T> c(rows * pitch + 1, T(NAN));  // what is not to be read is NaN, what is not to be written stays it
    T* const to = c.data() + 1;
    if (store == Store::accumulate) {
      for (int64_t i = 0; i < rows; ++i) std::copy_n(before.data() + i * kLargest, columns, to + i * pitch);
    }
    std::copy_n(bias.data(), columns, bias_end - columns);
    block.c = to;
    block.c_stride = pitch;
    block.c_column_stride = 1;
    block.rows = rows;
    block.columns = columns;
    block.k = k;
    block.bias = store == Store::bias ? bias_end - columns : nullptr;
    block.accumulate = store == Store::accumulate;
    kernels().gemm_block[index_of<T>](block);
    ASSERT_TRUE(std::isnan(c[0]));
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < pitch; ++j) {
        if (j >= columns) {
          ASSERT_TRUE(std::isnan(to[i * pitch + j])) << rows << " " << columns << " " << k;
          continue;
        }
        T expected = chains[i * kLargest + j];
        if (store == Store::accumulate) expected += before[i * kLargest + j];
        if (store == Store::bias) expected += bias[j];
        ASSERT_EQ(to[i * pitch + j], expected)
            << rows << "x" << k << "x" << columns << " at " << i << " " << j << ", a " << int(layout_a) << ", b "
            << int(layout_b) << ", store " << int(store);
      }
    }
  }
};

template <class T>
void check_all_small() {
  Products<T> products;
  for (int64_t k = 1; k <= 20; ++k) {
    products.extend(k);
    for (int64_t rows = 1; rows <= 20; ++rows) {
      for (int64_t columns = 1; columns <= 20; ++columns) {
        for (int a = 0; a < int(LayoutA::count); ++a) {
          for (int b = 0; b < int(LayoutB::count); ++b) {
            products.check(rows, columns, k, LayoutA(a), LayoutB(b), Store((a + b + k) % int(Store::count)));
            if (::testing::Test::HasFatalFailure()) return;
          }
        }
      }
    }
  }
}
TEST_P(GemmTest, EverySizeTo20InEveryLayout) {
  check_all_small<float>();
  check_all_small<double>();
}

// Every pair of rows and columns; the layouts take turns. All k for the vector ISAs, some for the slow ones.
template <class T>
void check_to_65() {
  Products<T> products;
  const bool slow = is_slow();
  for (int64_t k = 1; k <= kLargest; ++k) {
    products.extend(k);
    if (slow ? k % 16 != 1 : k % 4 != 1) continue;
    for (int64_t rows = 1; rows <= kLargest; ++rows) {
      for (int64_t columns = 1; columns <= kLargest; ++columns) {
        const int64_t turn = rows * 31 + columns * 17 + k;
        products.check(rows, columns, k, LayoutA(turn % 6), LayoutB(turn / 6 % 4), Store(turn / 24 % 3));
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  }
}
TEST_P(GemmTest, EveryPairOfRowsAndColumnsTo65) {
  check_to_65<float>();
  check_to_65<double>();
}

// 0 * inf and inf - inf are NaN in their row or column and nowhere else, in the zeros of padded panels included.
TEST_P(GemmTest, SpecialValuesStayInTheirRowsAndColumns) {
  const int64_t width = kernels().gemm_width[kFloat32];
  for (const float special : {INFINITY, -INFINITY, float(NAN)}) {
    for (const int64_t columns : {int64_t(1), width - 1, width + 1}) {
      std::vector<float> a(15 * 8, 0.0f), b(8 * columns, 1.0f), c(15 * columns, 5.0f), packed(8 * 2 * width);
      a[3 * 8 + 5] = special;    // row 3
      b[2 * columns] = special;  // column 0
      kernels().gemm_pack[kFloat32](packed.data(), 8 * width, b.data(), columns, 1, 8, columns);
      kernels().gemm_block[kFloat32](GemmBlock{.a = a.data(),
                                               .a_row_stride = 8,
                                               .a_k_stride = 1,
                                               .a_tile_stride = 0,
                                               .b = packed.data(),
                                               .b_k_stride = width,
                                               .b_panel_stride = 8 * width,
                                               .c = c.data(),
                                               .c_stride = columns,
                                               .c_column_stride = 1,
                                               .rows = 15,
                                               .columns = columns,
                                               .k = 8,
                                               .bias = nullptr,
                                               .accumulate = false,
                                               .b_is_padded = true});
      for (int64_t i = 0; i < 15; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
          const float value = c[i * columns + j];
          if (j == 0) EXPECT_TRUE(std::isnan(value)) << i;
          else if (i == 3) EXPECT_TRUE(std::isnan(special) ? std::isnan(value) : value == special) << j;
          else EXPECT_EQ(value, 0.0f) << i << " " << j;
        }
      }
    }
  }
}

template <class T>
void check_turn() {
  for (int64_t rows = 1; rows <= 35; ++rows) {
    for (int64_t columns = 1; columns <= 35; ++columns) {
      const int64_t from_stride = rows + 2, to_stride = columns + 3;
      std::vector<T> from(columns * from_stride), to(rows * to_stride, T(-1));
      for (size_t i = 0; i < from.size(); ++i) from[i] = T(i);
      kernels().gemm_turn[index_of<T>](to.data(), to_stride, from.data(), from_stride, rows, columns);
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < to_stride; ++j) {
          const T expected = j < columns ? from[j * from_stride + i] : T(-1);  // nothing beyond
          ASSERT_EQ(to[i * to_stride + j], expected) << rows << "x" << columns;
        }
      }
    }
  }
}
TEST_P(GemmTest, TurnsEverySizeTo35) {
  check_turn<float>();
  check_turn<double>();
}

RUSTTORCH_FOR_EACH_ISA(GemmTest);

}  // namespace
}  // namespace rusttorch::test
