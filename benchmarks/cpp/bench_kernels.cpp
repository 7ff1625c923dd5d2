// Every kernel of the lists, on every ISA, one thread: names are <isa>/<kernel>/<dtype>/<elements>.
//   torchext_benchmarks --benchmark_filter='avx2/tanh/float32/.*'
// bytes_per_second counts what must move (inputs + output); compare it with the triad of `python -m torchext bench`.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "dispatch.h"
#include "summation.h"

namespace rusttorch {
namespace {

constexpr const char* kDtypeNames[kDtypes] = {"float32", "float64", "bfloat16", "float16", "int32", "int64"};
constexpr int kDtypeSizes[kDtypes] = {4, 8, 2, 2, 4, 8};
constexpr int64_t kSizes[] = {64, 4096, 65536, 1 << 20};
constexpr int64_t kRows = 256;  // softmax: [256][n / 256]

// Values in [1/2, 1), which no kernel treats specially.
void fill(std::vector<char>& memory, int dtype, int64_t n) {
  memory.resize(n * kDtypeSizes[dtype]);
  for (int64_t i = 0; i < n; ++i) {
    const double value = (1 + double(i * 2654435761u % 65536) / 65536) / 2;
    switch (dtype) {
      case kFloat32: reinterpret_cast<float*>(memory.data())[i] = float(value); break;
      case kFloat64: reinterpret_cast<double*>(memory.data())[i] = value; break;
      case kBFloat16: reinterpret_cast<uint16_t*>(memory.data())[i] = uint16_t(0x3f00 + i % 128); break;
      case kFloat16: reinterpret_cast<uint16_t*>(memory.data())[i] = uint16_t(0x3800 + i % 1024); break;
      case kInt32: reinterpret_cast<int32_t*>(memory.data())[i] = int32_t(1 + i % 1000); break;
      default: reinterpret_cast<int64_t*>(memory.data())[i] = 1 + i % 1000;
    }
  }
}

struct Case {
  std::string isa, name;
  int dtype;
  int64_t n;
};

// run(out, a, b) once per iteration; `streams` arrays of n elements move.
template <class Run>
void add(const Case& c, int streams, Run run) {
  const std::string name = c.isa + "/" + c.name + "/" + kDtypeNames[c.dtype] + "/" + std::to_string(c.n);
  benchmark::RegisterBenchmark(name.c_str(), [c, streams, run](benchmark::State& state) {
    use_isa(c.isa);
    std::vector<char> out, a, b;
    fill(out, c.dtype, c.n);
    fill(a, c.dtype, c.n);
    fill(b, c.dtype, c.n);
    for (auto _ : state) {
      run(kernels(), out.data(), a.data(), b.data());
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * c.n * kDtypeSizes[c.dtype] * streams);
    state.SetItemsProcessed(state.iterations() * c.n);
  });
}

LossInputs inputs(const void* a, const void* b, bool weighted) {
  return weighted ? LossInputs{a, b, a, a} : LossInputs{a, b};
}

void add_all(const std::string& isa, int64_t n) {
  const Parameters parameters{1, 20, 1};  // softplus as by default; the others do not care
  for (int dtype = 0; dtype < kDtypes; ++dtype) {
    if (dtype < kFloatingDtypes) {
#define RUSTTORCH_ROW(name, Functor)                                                                                  \
  add({isa, #name, dtype, n}, 2, [=](const KernelTable& table, void* out, const void* a, const void*) {               \
    table.name[dtype](out, a, n, parameters);                                                                         \
  });                                                                                                                 \
  add({isa, #name "_backward", dtype, n}, 3, [=](const KernelTable& table, void* out, const void* a, const void* b) { \
    table.name##_backward[dtype](out, a, b, n, parameters);                                                           \
  });
      RUSTTORCH_ACTIVATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#define RUSTTORCH_ROW(name, Functor)                                               \
  if (n >= kRows * 16)                                                             \
    add({isa, #name, dtype, n}, 2,                                                 \
        [=](const KernelTable& table, void* out, const void* a, const void*) {     \
          table.name[dtype](out, a, kRows, n / kRows);                             \
        }),                                                                        \
        add({isa, #name "_columns", dtype, n}, 2,                                  \
            [=](const KernelTable& table, void* out, const void* a, const void*) { \
              table.name##_columns[dtype](out, a, kRows, n / kRows, n / kRows);    \
            });
      RUSTTORCH_SOFTMAX(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
// Weights are the input once more: what they cost beside memory.
#define RUSTTORCH_ROW(name, Functor)                                                                                 \
  for (const bool weighted : {false, true}) {                                                                        \
    const std::string ending = weighted ? "_weighted" : "";                                                          \
    add({isa, #name + ending, dtype, n}, 3, [=](const KernelTable& table, void* out, const void* a, const void* b) { \
      table.name[dtype](out, inputs(a, b, weighted), n, parameters);                                                 \
    });                                                                                                              \
    add({isa, #name "_sum" + ending, dtype, n}, 2,                                                                   \
        [=](const KernelTable& table, void*, const void* a, const void* b) {                                         \
          std::vector<double> sums(n / kSumPiece<double> + 1);                                                       \
          table.name##_sum[dtype](sums.data(), inputs(a, b, weighted), n, false, parameters);                        \
          benchmark::DoNotOptimize(sums.data());                                                                     \
        });                                                                                                          \
    add({isa, #name "_backward" + ending, dtype, n}, 3,                                                              \
        [=](const KernelTable& table, void* out, const void* a, const void* b) {                                     \
          table.name##_backward[dtype](out, nullptr, inputs(a, b, weighted), n, parameters);                         \
        });                                                                                                          \
  }
      RUSTTORCH_LOSSES(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
    }
#define RUSTTORCH_ROW(name, Functor)                                                                        \
  if (kernels().name[dtype])                                                                                \
    add({isa, #name, dtype, n}, 3, [=](const KernelTable& table, void* out, const void* a, const void* b) { \
      table.name[dtype](out, a, b, n, 1, 1, parameters);                                                    \
    });
    RUSTTORCH_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
    add({isa, "fused_multiply_add", dtype, n}, 4,
        [=](const KernelTable& table, void* out, const void* a, const void* b) {
          table.fused_multiply_add[dtype](out, a, b, out, n, 1, 1, 1);
        });
  }
}

const bool kRegistered = [] {
  for (const std::string& isa : available_isas()) {
    for (int64_t n : kSizes) add_all(isa, n);
  }
  return true;
}();

}  // namespace
}  // namespace rusttorch
