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

// Products that torch computes faster, by dtypes and layouts (bits of ProductClass) and sizes, first to last.
struct Torchs {
  unsigned dtypes, layouts;
  int64_t rows[2], k[2], columns[2];
};
constexpr unsigned kBoth = 3, kNN = 1, kNT = 2, kTN = 4, kAll = 7;
constexpr int64_t kAny = int64_t(1) << 40;

// Each list: at least 5 % in most of several runs of benchmarks/bench_products.py, 2 threads on 2 cores. Ratios: the time
// of torch over ours.
// Zen 3, AVX2, torch 2.13. Elsewhere 1.0 to 6.
const std::vector<Torchs> kZen3 = {
    {kBoth, kNN | kTN, {64, 127}, {2048, kAny}, {64, 127}},  // (64,4096)x(4096,64) 0.8
    {kBoth, kAll, {512, 1023}, {2048, kAny}, {512, 1023}},   // (512,3072)x(3072,768) 0.9 to 1.0
};
// Zen 4, AVX-512, torch 2.13.
const std::vector<Torchs> kZen4 = {
    {kBoth, kAll, {1024, kAny}, {2, 3}, {64, 127}},  // (2000,3)x(3,64) 0.85
};
// Sapphire Rapids, AVX-512, torch 2.11: MKL's home. Ours wins below 128^3 (1.05 to 1.7) and, mostly, for up to 48 rows.
const std::vector<Torchs> kSapphireRapids = {
    {kBoth, kAll, {128, kAny}, {2, kAny}, {64, kAny}},  // 0.75 to 1.0: squares from 192, training shapes
    {kBoth, kAll, {64, 127}, {2, kAny}, {128, kAny}},
    {kBoth, kAll, {64, 127}, {1024, kAny}, {64, 127}},  // (64,4096)x(4096,64) 0.55
    {kBoth, kNN, {512, kAny}, {256, kAny}, {5, 31}},    // (768,3072)x(3072,8) 0.5
    {kBoth, kNN, {32, 63}, {512, kAny}, {512, kAny}},   // (32,768)x(768,3072) 0.55 to 0.9
    {2, kNT, {32, 63}, {512, kAny}, {512, kAny}},       // float64, 0.87 to 1.0
    {kBoth, kNN, {1, 1}, {2048, kAny}, {512, kAny}},    // (1,3072)x(3072,768) 0.83 to 0.93
};

// Of the machines measured, the one most like this: on Intel's CPUs torch's products are MKL at its best.
const std::vector<Torchs>& measured() {
  static const std::vector<Torchs> none;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_is("intel")) return kSapphireRapids;
  return __builtin_cpu_supports("avx512f") ? kZen4 : kZen3;
#else
  return none;  // aarch64 is not measured
#endif
}

std::vector<ProductClass> classes_of(const std::vector<Torchs>& boxes) {
  std::vector<ProductClass> result;
  for (const Torchs& box : boxes) {
    for (int kind = 0; kind < 2 * kLayouts; ++kind) {
      const int dtype = kind / kLayouts, layout = kind % kLayouts;
      if ((box.dtypes >> dtype & 1) == 0 || (box.layouts >> layout & 1) == 0) continue;
      for (int rows = size_class(box.rows[0]); rows <= size_class(box.rows[1]); ++rows) {
        for (int k = size_class(box.k[0]); k <= size_class(box.k[1]); ++k) {
          for (int columns = size_class(box.columns[0]); columns <= size_class(box.columns[1]); ++columns) {
            result.push_back({dtype, layout, rows, k, columns});
          }
        }
      }
    }
  }
  return result;
}

const Table* table_of(const std::vector<ProductClass>& torchs) {
  Table* const table = new Table{};  // never freed: another thread may be reading the one before
  for (const ProductClass& c : torchs) (*table)[index_of(c)] = true;
  return table;
}

std::atomic<const Table*>& table() {
  static std::atomic<const Table*> current{table_of(classes_of(measured()))};
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
void use_default_product_choices() { use_product_choices(classes_of(measured())); }

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
