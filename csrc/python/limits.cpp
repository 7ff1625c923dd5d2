// The limits that `python -m torchext bench` divides by: memory and cache bandwidth, of a triad and of reading alone, vector
// instruction rates, and the call of an empty kernel. They are measured with loops that share nothing with csrc/kernels, so
// that a slow kernel cannot lower its own limit. Each loop exists for AVX2, AVX-512 and as plain C++ (elsewhere), chosen by
// the CPU, not by TORCHEXT_ISA: a limit belongs to the machine.
#include "../ops/torch_headers.h"

#include "limits.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <stdexcept>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace rusttorch {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

enum class Isa { plain, avx2, avx512 };

Isa machine_isa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::plain;
}

// float32 lanes of one vector instruction counted by limits_fma and limits_divide. The plain loops are compiled for the
// baseline of the target: 128-bit vectors on aarch64 and x86-64.
int machine_lanes() {
  switch (machine_isa()) {
    case Isa::avx512: return 16;
    case Isa::avx2: return 8;
    default: return 4;
  }
}

// Three arrays of n floats, on huge pages if they are wanted, touched before use; rounded up to 64 bytes so that
// streaming stores align.
class Arrays {
 public:
  Arrays(int64_t n, [[maybe_unused]] bool wants_huge_pages)
      : stride_((n + 15) / 16 * 16 + 400) {  // not a multiple of 4 KiB: the arrays start in different cache sets
    const size_t huge = size_t{2} << 20;
    bytes_ = (static_cast<size_t>(stride_) * 3 * sizeof(float) + huge - 1) / huge * huge;
    base_ = static_cast<float*>(std::aligned_alloc(huge, bytes_));
    if (base_ == nullptr) throw std::runtime_error("limits_triad(): out of memory");
#if defined(__linux__)
    if (wants_huge_pages) madvise(base_, bytes_, MADV_HUGEPAGE);  // only advice
#endif
    std::fill_n(base_, stride_ * 3, 1.0f);
  }
  ~Arrays() { std::free(base_); }
  Arrays(const Arrays&) = delete;
  Arrays& operator=(const Arrays&) = delete;
  float* array(int index) { return base_ + stride_ * index; }

 private:
  int64_t stride_;
  size_t bytes_;
  float* base_;
};

// a[i] = b[i] + 3 * c[i] for i in [0, n), n a multiple of 64 (four vectors of the widest ISA), a aligned to 64 bytes.
using Triad = void (*)(float* a, const float* b, const float* c, int64_t n);

void triad_plain(float* a, const float* b, const float* c, int64_t n) {
  for (int64_t i = 0; i < n; ++i) a[i] = b[i] + 3.0f * c[i];
}

// The sum of b and c, each read at `streams` places, `run` elements at each in turn; run is a multiple of 128 and n one of
// run * streams.
using Read = double (*)(const float* b, const float* c, int64_t n, int64_t streams, int64_t run);

double read_plain(const float* b, const float* c, int64_t n, int64_t streams, int64_t run) {
  float sums[16] = {};
  const int64_t part = n / streams;
  for (int64_t i = 0; i < part; i += run) {
    for (int64_t first = i; first < n; first += part) {
      for (const float* array : {b, c}) {
        for (int64_t j = first; j < first + run; j += 16) {
          for (int64_t k = 0; k < 16; ++k) sums[k] += array[j + k];
        }
      }
    }
  }
  return std::accumulate(sums, sums + 16, 0.0);
}

enum class Chain { multiply_add, divide, integer_multiply_add };

// Eight independent chains of multiply-adds hide a latency of 4 cycles on 2 ports; 12 also feed a latency of 6.
constexpr int kChains = 12;

double chains_plain(int64_t iterations, Chain chain) {
  float x[kChains * 4];
  uint32_t integers[kChains * 4];
  std::fill_n(x, kChains * 4, 1.5f);
  std::fill_n(integers, kChains * 4, 1);
  for (int64_t i = 0; i < iterations; ++i) {
    if (chain == Chain::divide) {
      for (float& value : x) value = 1.75f / value;
    } else if (chain == Chain::multiply_add) {
      for (float& value : x) value = value * 0.5f + 0.75f;
    } else {
      for (uint32_t& value : integers) value = value * 1664525 + 1013904223;
    }
  }
  double sum = 0;
  for (int k = 0; k < kChains * 4; ++k) sum += double(x[k]) + integers[k];
  return sum;
}

#if defined(__x86_64__)

#define RUSTTORCH_LIMITS_LOOPS(isa, target_string, Vector, Integers, lanes, prefix)                                    \
  __attribute__((target(target_string))) void triad_##isa(float* a, const float* b, const float* c, int64_t n) {       \
    const Vector three = prefix##_set1_ps(3.0f);                                                                       \
    for (int64_t i = 0; i < n; i += 4 * lanes)                                                                         \
      for (int k = 0; k < 4 * lanes; k += lanes)                                                                       \
        prefix##_storeu_ps(a + i + k,                                                                                  \
                           prefix##_fmadd_ps(prefix##_loadu_ps(c + i + k), three, prefix##_loadu_ps(b + i + k)));      \
  }                                                                                                                    \
  __attribute__((target(target_string))) void triad_streaming_##isa(float* a, const float* b, const float* c,          \
                                                                    int64_t n) {                                       \
    const Vector three = prefix##_set1_ps(3.0f);                                                                       \
    for (int64_t i = 0; i < n; i += 4 * lanes)                                                                         \
      for (int k = 0; k < 4 * lanes; k += lanes)                                                                       \
        prefix##_stream_ps(a + i + k,                                                                                  \
                           prefix##_fmadd_ps(prefix##_loadu_ps(c + i + k), three, prefix##_loadu_ps(b + i + k)));      \
    _mm_sfence();                                                                                                      \
  }                                                                                                                    \
  __attribute__((target(target_string))) double read_##isa(const float* b, const float* c, int64_t n, int64_t streams, \
                                                           int64_t run) {                                              \
    Vector x[8];                                                                                                       \
    for (Vector& sum : x) sum = prefix##_setzero_ps();                                                                 \
    const int64_t part = n / streams;                                                                                  \
    for (int64_t i = 0; i < part; i += run)                                                                            \
      for (int64_t first = i; first < n; first += part)                                                                \
        for (const float* array : {b, c})                                                                              \
          for (int64_t j = first; j < first + run; j += 8 * lanes)                                                     \
            for (int k = 0; k < 8; ++k) x[k] = prefix##_add_ps(x[k], prefix##_loadu_ps(array + j + k * lanes));        \
    float out[8 * lanes];                                                                                              \
    for (int k = 0; k < 8; ++k) prefix##_storeu_ps(out + k * lanes, x[k]);                                             \
    return std::accumulate(out, out + 8 * lanes, 0.0);                                                                 \
  }                                                                                                                    \
  __attribute__((target(target_string))) double chains_##isa(int64_t iterations, Chain chain) {                        \
    Vector x[kChains];                                                                                                 \
    Integers y[kChains];                                                                                               \
    const Vector half = prefix##_set1_ps(0.5f), more = prefix##_set1_ps(0.75f), numerator = prefix##_set1_ps(1.75f);   \
    const Integers factor = prefix##_set1_epi32(1664525), term = prefix##_set1_epi32(1013904223);                      \
    for (int k = 0; k < kChains; ++k) x[k] = prefix##_set1_ps(1.5f);                                                   \
    for (int k = 0; k < kChains; ++k) y[k] = prefix##_set1_epi32(k);                                                   \
    if (chain == Chain::divide) {                                                                                      \
      for (int64_t i = 0; i < iterations; ++i)                                                                         \
        for (int k = 0; k < kChains; ++k) x[k] = prefix##_div_ps(numerator, x[k]);                                     \
    } else if (chain == Chain::multiply_add) {                                                                         \
      for (int64_t i = 0; i < iterations; ++i)                                                                         \
        for (int k = 0; k < kChains; ++k) x[k] = prefix##_fmadd_ps(x[k], half, more);                                  \
    } else {                                                                                                           \
      for (int64_t i = 0; i < iterations; ++i)                                                                         \
        for (int k = 0; k < kChains; ++k) y[k] = prefix##_add_epi32(prefix##_mullo_epi32(y[k], factor), term);         \
    }                                                                                                                  \
    float out[2 * kChains * lanes];                                                                                    \
    for (int k = 0; k < kChains; ++k) prefix##_storeu_ps(out + k * lanes, x[k]);                                       \
    for (int k = 0; k < kChains; ++k) prefix##_storeu_ps(out + (kChains + k) * lanes, prefix##_cvtepi32_ps(y[k]));     \
    return std::accumulate(out, out + 2 * kChains * lanes, 0.0);                                                       \
  }

RUSTTORCH_LIMITS_LOOPS(avx2, "avx2,fma", __m256, __m256i, 8, _mm256)
RUSTTORCH_LIMITS_LOOPS(avx512, "avx512f", __m512, __m512i, 16, _mm512)
#undef RUSTTORCH_LIMITS_LOOPS

#endif  // __x86_64__

Triad triad_function(bool streaming) {
#if defined(__x86_64__)
  switch (machine_isa()) {
    case Isa::avx512: return streaming ? triad_streaming_avx512 : triad_avx512;
    case Isa::avx2: return streaming ? triad_streaming_avx2 : triad_avx2;
    default: return triad_plain;
  }
#else
  (void)streaming;  // no portable streaming store: the plain loop is the limit
  return triad_plain;
#endif
}

Read read_function() {
#if defined(__x86_64__)
  switch (machine_isa()) {
    case Isa::avx512: return read_avx512;
    case Isa::avx2: return read_avx2;
    default: return read_plain;
  }
#else
  return read_plain;
#endif
}

double run_chains(int64_t iterations, Chain chain) {
#if defined(__x86_64__)
  switch (machine_isa()) {
    case Isa::avx512: return chains_avx512(iterations, chain);
    case Isa::avx2: return chains_avx2(iterations, chain);
    default: return chains_plain(iterations, chain);
  }
#else
  return chains_plain(iterations, chain);
#endif
}

// Calls work(thread, passes) on each of `threads` threads and returns the seconds of one pass, the best seen: `passes` is
// raised until even the best of three regions lasts `least` seconds, so that waking the threads is below a percent and one
// preempted region does not end the search; then regions run until `repeats` in a row bring no 1 %, at most half a second.
// A region of at::parallel_for is the only way that uses torch's own pool; a grain of one gives a range per thread.
template <class Work>
double best_seconds_per_pass(int64_t threads, double least, int64_t repeats, const Work& work) {
  auto region = [&](int64_t passes) {
    Clock::time_point start = Clock::now();
    at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t thread = begin; thread < end; ++thread) work(thread, passes);
    });
    return seconds_since(start);
  };
  int64_t passes = 1;
  while (std::min({region(passes), region(passes), region(passes)}) < least && passes < (int64_t{1} << 40)) passes *= 2;
  double best = region(passes);
  Clock::time_point start = Clock::now();
  for (int64_t unchanged = 1; unchanged < repeats && seconds_since(start) < 0.5; ++unchanged) {
    double now = region(passes);
    if (now < 0.99 * best) unchanged = 0;
    best = std::min(best, now);
  }
  return best / static_cast<double>(passes);
}

int64_t checked_threads(int64_t threads) {
  if (threads < 1 || threads > at::get_num_threads())
    throw std::invalid_argument("limits: expected threads between 1 and torch.get_num_threads()");
  return threads;
}

// Bytes per second of a[i] = b[i] + 3 * c[i] over three arrays of n_floats each: 12 bytes per element (a streaming store
// reads nothing; a cached one does not count the line that it may fetch).
double limits_triad(int64_t n_floats, int64_t threads, bool streaming, int64_t repeats) {
  checked_threads(threads);
  const int64_t share = std::max<int64_t>(64, n_floats / threads / 64 * 64);  // elements of one thread
  if (n_floats < 1 || repeats < 1) throw std::invalid_argument("limits_triad(): expected n_floats and repeats above 0");
  Arrays arrays(share * threads, true);
  Triad triad = triad_function(streaming);
  double seconds = best_seconds_per_pass(threads, 1e-3, repeats, [&](int64_t thread, int64_t passes) {
    const int64_t first = thread * share;
    for (int64_t pass = 0; pass < passes; ++pass)
      triad(arrays.array(0) + first, arrays.array(1) + first, arrays.array(2) + first, share);
  });
  return static_cast<double>(share * threads) * 3 * sizeof(float) / seconds;
}

// Bytes per second of adding up two arrays of n_floats each: 8 bytes per element.
double limits_read(int64_t n_floats, int64_t threads, int64_t streams, int64_t run, int64_t repeats) {
  checked_threads(threads);
  if (n_floats < 1 || streams < 1 || repeats < 1) {
    throw std::invalid_argument("limits_read(): expected n_floats, streams and repeats above 0");
  }
  if (run < 1 || run % 128) throw std::invalid_argument("limits_read(): expected run to be a multiple of 128");
  const int64_t multiple = run * streams, share = std::max(multiple, n_floats / threads / multiple * multiple);
  Arrays arrays(share * threads, false);
  std::atomic<double> sink{0};  // keeps the loops alive
  const Read read = read_function();
  double seconds = best_seconds_per_pass(threads, 1e-3, repeats, [&](int64_t thread, int64_t passes) {
    const int64_t first = thread * share;
    double sum = 0;
    for (int64_t pass = 0; pass < passes; ++pass) {
      sum += read(arrays.array(1) + first, arrays.array(2) + first, share, streams, run);
    }
    sink.store(sum, std::memory_order_relaxed);
  });
  return static_cast<double>(share * threads) * 2 * sizeof(float) / seconds;
}

double vector_instructions_per_second(int64_t threads, int64_t repeats, Chain chain) {
  checked_threads(threads);
  if (repeats < 1) throw std::invalid_argument("limits: expected repeats above 0");
  constexpr int64_t kIterations = 20000;  // of 1000, adding up what they leave took a tenth
  std::atomic<double> sink{0};            // keeps the loops alive
  double seconds = best_seconds_per_pass(threads, 2e-3, repeats, [&](int64_t, int64_t passes) {
    double sum = 0;
    for (int64_t pass = 0; pass < passes; ++pass) {
      int64_t iterations = kIterations;
      asm volatile("" : "+r"(iterations));  // else every pass is the same to the compiler, and one is enough
      sum += run_chains(iterations, chain);
    }
    sink.store(sum, std::memory_order_relaxed);
  });
  return static_cast<double>(kIterations * kChains * threads) / seconds;
}

// The least that an operator call does: parse a tensor, allocate the result and, for more than one thread, wake them.
at::Tensor empty_call(const at::Tensor& self, int64_t threads) {
  at::Tensor out = at::empty_like(self);
  if (threads > 1) at::parallel_for(0, threads, 1, [](int64_t, int64_t) {});
  return out;
}

}  // namespace

void register_limits(pybind11::module_& m) {
  namespace py = pybind11;
  m.def("limits_triad", limits_triad, py::arg("n_floats"), py::arg("threads"), py::arg("streaming"), py::arg("repeats"),
        "Bytes per second of a triad over three arrays of n_floats float32 each, the best until `repeats` in a row are "
        "no better.",
        py::call_guard<py::gil_scoped_release>());
  const auto define_rate = [&m](const char* name, Chain chain, const char* about) {
    m.def(
        name,
        [chain](int64_t threads, int64_t repeats) { return vector_instructions_per_second(threads, repeats, chain); },
        py::arg("threads"), py::arg("repeats"), about, py::call_guard<py::gil_scoped_release>());
  };
  define_rate("limits_fma", Chain::multiply_add, "Vector multiply-adds per second, all threads together.");
  define_rate("limits_divide", Chain::divide, "Vector float32 divisions per second, all threads together.");
  define_rate("limits_integer", Chain::integer_multiply_add,
              "Vector multiplications of int32, each with an addition, per second, all threads together.");
  m.def(
      "limits_read", limits_read, py::arg("n_floats"), py::arg("threads"), py::arg("streams"), py::arg("run"),
      py::arg("repeats"),
      "Bytes per second of adding up two arrays of n_floats float32 each, at `streams` places of each, where `run` are "
      "read in turn; the best until `repeats` in a row are no "
      "better.",
      py::call_guard<py::gil_scoped_release>());
  m.def("limits_lanes", machine_lanes, "float32 lanes of the vectors that limits_fma and limits_divide count.");
  m.def("empty_call", empty_call, py::arg("self"), py::arg("threads") = 1,
        "An operator call without a kernel: allocates the result and wakes the threads.");
}

}  // namespace rusttorch
