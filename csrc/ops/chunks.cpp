#include <atomic>
#include <cfenv>
#include <memory>

#include "common.h"

namespace rusttorch {
namespace {

// The caller's rounding and denormal modes, which belong to a thread: results shall not depend on who took a chunk.
class Environment {
 public:
  explicit Environment(const std::fenv_t& callers) {
    std::fegetenv(&own_);
    std::fesetenv(&callers);
  }
  ~Environment() { std::fesetenv(&own_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::fenv_t own_;
};

}  // namespace

// Each thread has a share of neighbouring chunks, the same from call to call, so that its caches and its memory keep it.
// Then it takes what others have left: where cores are shared, one may be half as fast as its neighbour for a while. With
// another process busy on one of two cores, over halves: sum of 16 Mi 1.39, max of (16384, 1024) 1.38, tanh of 1 Mi 1.13;
// without, 0.98 to 1.05.
void for_each_chunk(int64_t n, int64_t chunk, int64_t threads, c10::function_ref<void(int64_t, int64_t)> body) {
  struct alignas(64) Share {
    std::atomic<int64_t> taken{0};
  };
  const int64_t chunks = (n + chunk - 1) / chunk;
  const auto shares = std::make_unique<Share[]>(threads);
  std::fenv_t callers;
  std::fegetenv(&callers);
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    const Environment environment(callers);
    for (int64_t visit = begin; visit < end + threads - 1; ++visit) {
      const int64_t owner = visit % threads, first = chunks * owner / threads, last = chunks * (owner + 1) / threads;
      for (int64_t k; (k = first + shares[owner].taken.fetch_add(1, std::memory_order_relaxed)) < last;) {
        body(k * chunk, std::min((k + 1) * chunk, n));
      }
    }
  });
}

}  // namespace rusttorch
