// Products of matrices on the shapes of training steps, one thread, every ISA:
//   torchext_benchmarks --benchmark_filter='product/avx512/.*'
// Names are product/<isa>/<dtype>/<layout>/<rows>x<k>x<columns>; layout NT is x @ w.T, NN g @ w, TN g.T @ x. An item is
// a floating-point operation; their limit is twice what `python -m torchext bench` says of multiply-adds, times the
// lanes.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "../../csrc/ops/gemm_tasks.h"

namespace rusttorch {
namespace {

struct Shape {
  int64_t rows, k, columns;
};
constexpr Shape kShapes[] = {{16, 16, 16},     {32, 32, 32},       {64, 64, 64},      {128, 128, 128},
                             {512, 512, 512},  {1024, 1024, 1024}, {1024, 384, 1536}, {1024, 1536, 384},
                             {512, 768, 3072}, {1, 768, 3072},     {256, 64, 256}};

template <class T>
void add(const std::string& isa, const std::string& dtype, const std::string& layout, Shape shape) {
  const std::string title = "product/" + isa + "/" + dtype + "/" + layout + "/" + std::to_string(shape.rows) + "x" +
                            std::to_string(shape.k) + "x" + std::to_string(shape.columns);
  benchmark::RegisterBenchmark(title.c_str(), [=](benchmark::State& state) {
    use_isa(isa);
    const auto& [rows, k, columns] = shape;
    const std::vector<T> a(rows * k, T(0.5)), b(k * columns, T(0.25));
    std::vector<T> c(rows * columns);
    const bool a_turned = layout[0] == 'T', b_turned = layout[1] == 'T';
    GemmProblem p{};
    p.rows = rows, p.k = k, p.columns = columns;
    p.a = a.data(), p.a_row_stride = a_turned ? 1 : k, p.a_k_stride = a_turned ? rows : 1;
    p.b = b.data(), p.b_k_stride = b_turned ? 1 : columns, p.b_column_stride = b_turned ? k : 1;
    p.c = c.data(), p.c_stride = columns;
    const int dtype_index = sizeof(T) == 4 ? kFloat32 : kFloat64;
    std::vector<char> memory;
    for (auto _ : state) {
      if (rows * k * columns < 1 << 20) {
        gemm_serial(p, dtype_index);
      } else {
        GemmTasks work(p, dtype_index, 1);
        memory.resize(work.memory_bytes());
        work.run(memory.data());
      }
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * 2 * rows * k * columns);
  });
}

const bool registered = [] {
  for (const std::string& isa : available_isas()) {
    for (const Shape& shape : kShapes) {
      if (isa == "scalar" && shape.rows > 128) continue;
      for (const char* layout : {"NN", "NT", "TN"}) {
        add<float>(isa, "float32", layout, shape);
        add<double>(isa, "float64", layout, shape);
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace rusttorch
