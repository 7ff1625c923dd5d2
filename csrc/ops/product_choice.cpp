#include "product_choice.h"

#include <ATen/Context.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#include "../kernels/types.h"

namespace rusttorch {
namespace {

constexpr int kSizes = ProductClass::kSizes, kLayouts = ProductClass::kLayouts;
using Table = std::array<bool, 2 * kLayouts * kSizes * kSizes * kSizes>;

size_t index_of(const ProductClass& c) {
  return static_cast<size_t>((((c.dtype * kLayouts + c.layout) * kSizes + c.rows) * kSizes + c.k) * kSizes + c.columns);
}

int size_class(int64_t size) {
  return std::min(static_cast<int>(std::bit_width(static_cast<uint64_t>(size))) - 1, kSizes - 1);
}

// Classes that lost to MKL (torch 2.13) on 2 cores of a Zen 4 with AVX-512.
const std::vector<ProductClass> kDefaults = {};

const Table* table_of(const std::vector<ProductClass>& torchs) {
  Table* const table = new Table{};  // never freed: another thread may be reading the one before
  for (const ProductClass& c : torchs) (*table)[index_of(c)] = true;
  return table;
}

std::atomic<const Table*>& table() {
  static std::atomic<const Table*> current{table_of(kDefaults)};
  return current;
}

}  // namespace

bool is_valid(const ProductClass& c) {
  const auto below = [](int value, int end) { return value >= 0 && value < end; };
  return below(c.dtype, 2) && below(c.layout, kLayouts) && below(c.rows, kSizes) && below(c.k, kSizes) &&
         below(c.columns, kSizes);
}

bool torch_is_faster(int dtype, int64_t rows, int64_t k, int64_t columns, bool a_by_columns, bool b_by_columns) {
  if (dtype > kFloat64 || (a_by_columns && b_by_columns)) return false;
  const int layout = b_by_columns ? 1 : a_by_columns ? 2 : 0;
  const ProductClass c{dtype, layout, size_class(rows), size_class(k), size_class(columns)};
  return (*table().load(std::memory_order_acquire))[index_of(c)] && !at::globalContext().deterministicAlgorithms();
}

void use_product_choices(const std::vector<ProductClass>& torchs) {
  table().store(table_of(torchs), std::memory_order_release);
}
void use_default_product_choices() { use_product_choices(kDefaults); }

std::vector<ProductClass> product_choices() {
  const Table& current = *table().load(std::memory_order_acquire);
  std::vector<ProductClass> torchs;
  for (ProductClass c{}; c.dtype < 2; ++c.dtype) {
    for (c.layout = 0; c.layout < kLayouts; ++c.layout) {
      for (c.rows = 0; c.rows < kSizes; ++c.rows) {
        for (c.k = 0; c.k < kSizes; ++c.k) {
          for (c.columns = 0; c.columns < kSizes; ++c.columns) {
            if (current[index_of(c)]) torchs.push_back(c);
          }
        }
      }
    }
  }
  return torchs;
}

}  // namespace rusttorch
