// Largest error of the float32 functions over all 2^32 inputs, in ULP against the real value.
//   ulp_sweep [--isa NAME] [--stride N] [--threads N] [--between LOW HIGH] [function ...]
// No function: all of them. --between: inputs with LOW <= |x| <= HIGH only; 1e-4 and 128 keep a tenth of all inputs and
// nearly all of the interesting ones.
// One line per function: name, largest error, the input that has it, what the function promises. Exit status 1 when a
// promise is broken. A function takes 2 to 5 minutes on one core.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "float_references.h"

namespace {

using namespace rusttorch::test;

struct Worst {
  double error = -1;
  float input = 0, got = 0;
};

// Bit patterns of magnitude [low, high] and both signs, every stride-th from `first` on, in blocks so that the vector
// loop runs over arrays.
Worst sweep(const FloatRow& row, FloatFunction function, uint64_t first, uint64_t stride, uint32_t low, uint32_t high) {
  constexpr int block = 4096;
  static thread_local float in[block], out[block];
  Worst worst;
  for (const uint32_t sign : {0u, 0x80000000u}) {
    for (uint64_t magnitude = low + first; magnitude <= high;) {
      int count = 0;
      for (; count < block && magnitude <= high; ++count, magnitude += stride) {
        in[count] = std::bit_cast<float>(sign | uint32_t(magnitude));
      }
      function(out, in, count);
      for (int i = 0; i < count; ++i) {
        const Exact exact = row.exact(in[i]);
        if (out[i] == float(exact.value) && worst.error >= 0.5) continue;  // most of them: no more than 0.5
        const double error = ulp_error(out[i], exact);
        if (error > worst.error) worst = {error, in[i], out[i]};
      }
    }
  }
  return worst;
}

}  // namespace

int main(int argc, char** argv) {
  std::string isa = "scalar";
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isa = "avx2";
#elif defined(__aarch64__)
  isa = "neon";
#endif
  uint64_t stride = 1;
  int threads = 1;
  uint32_t low = 0, high = 0x7fffffff;  // NaNs included
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--isa" && i + 1 < argc) isa = argv[++i];
    else if (argument == "--stride" && i + 1 < argc) stride = std::strtoull(argv[++i], nullptr, 10);
    else if (argument == "--between" && i + 2 < argc) {
      low = std::bit_cast<uint32_t>(std::strtof(argv[++i], nullptr));
      high = std::bit_cast<uint32_t>(std::strtof(argv[++i], nullptr));
    } else if (argument == "--threads" && i + 1 < argc) threads = std::atoi(argv[++i]);
    else names.push_back(argument);
  }
  const FloatFunction* functions = float_functions(isa);
  if (!functions || stride < 1 || threads < 1) {
    std::fprintf(stderr,
                 "usage: ulp_sweep [--isa NAME] [--stride N] [--threads N] [--between LOW HIGH] [function ...]\n");
    return 2;
  }
  bool kept = true;
  for (size_t k = 0; k < std::size(kFloatRows); ++k) {
    const FloatRow& row = kFloatRows[k];
    if (!names.empty() && std::find(names.begin(), names.end(), row.name) == names.end()) continue;
    std::vector<Worst> results(threads);
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] { results[t] = sweep(row, functions[k], t * stride, stride * threads, low, high); });
    }
    for (std::thread& worker : workers) worker.join();
    Worst worst;
    for (const Worst& result : results) {
      if (result.error > worst.error) worst = result;
    }
    kept = kept && worst.error <= row.ulp;
    std::printf("%-20s %.4f ULP at %.9g (%a): got %.9g, exact %.12g; promised %.2f%s\n", row.name, worst.error,
                worst.input, worst.input, worst.got, row.exact(worst.input).value, row.ulp,
                worst.error <= row.ulp ? "" : "  BROKEN");
    std::fflush(stdout);
  }
  return kept ? 0 : 1;
}
