// softmax and log_softmax on the shapes of the issue, on the best ISA of this CPU, one thread:
//   torchext_benchmarks --benchmark_filter='(log_)?softmax'
// Names are <kernel>/<dtype>/<rows>x<size>; the column kernels normalise down [size][columns], as dim 0 does.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "dispatch.h"

namespace rusttorch {
namespace {

constexpr int64_t kShapes[][2] = {{128, 128}, {1024, 1024}, {8192, 50}, {32, 32000}};

template <class T>
std::vector<T> values(int64_t n) {
  std::vector<T> result(n);
  for (int64_t i = 0; i < n; ++i) result[i] = T(double(i * 2654435761u % 65536) / 8192 - 4);
  return result;
}

// run(table, grad_or_out, in, saved)
template <class T, class Run>
void add(const std::string& name, int64_t rows, int64_t columns, Run run) {
  const std::string title = name + "/" + std::to_string(rows) + "x" + std::to_string(columns);
  benchmark::RegisterBenchmark(title.c_str(), [rows, columns, run](benchmark::State& state) {
    use_isa("auto");
    const std::vector<T> in = values<T>(rows * columns), saved(rows * columns, T(1) / T(columns));
    std::vector<T> out(rows * columns);
    for (auto _ : state) {
      run(kernels(), out.data(), in.data(), saved.data());
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * rows * columns);
  });
}

template <class T>
void add_dtype(const std::string& dtype, int index) {
  for (const auto& [rows, columns] : kShapes) {
    const int64_t r = rows, c = columns;
#define RUSTTORCH_ROW(name, Functor)                                                                                  \
  add<T>(#name "/" + dtype, r, c,                                                                                     \
         [=](const KernelTable& k, T* out, const T* in, const T*) { k.name[index](out, in, r, c); });                 \
  add<T>(#name "_backward/" + dtype, r, c,                                                                            \
         [=](const KernelTable& k, T* out, const T* in, const T* y) { k.name##_backward[index](out, in, y, r, c); }); \
  add<T>(#name "_columns/" + dtype, r, c,                                                                             \
         [=](const KernelTable& k, T* out, const T* in, const T*) { k.name##_columns[index](out, in, r, c, c); });    \
  add<T>(#name "_columns_backward/" + dtype, r, c, [=](const KernelTable& k, T* out, const T* in, const T* y) {       \
    k.name##_columns_backward[index](out, in, y, r, c, c);                                                            \
  });
    RUSTTORCH_SOFTMAX(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
  }
}

const bool registered = (add_dtype<float>("float32", kFloat32), add_dtype<double>("float64", kFloat64), true);

}  // namespace
}  // namespace rusttorch
