// Marks that a thread runs one of our kernels in ATen's place, and where that call's decision is counted.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

namespace rusttorch::patch {

inline constexpr int kDecisions = 5;  // as many as ops/counters.h has
using Counts = std::array<std::atomic<int64_t>, kDecisions>;

// The counts of the override this thread is in, or null. constinit: reading it needs no check for a first use.
extern constinit thread_local Counts* current_counts;

class Scope {
 public:
  explicit Scope(Counts& counts) { current_counts = &counts; }
  ~Scope() { current_counts = nullptr; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
};

}  // namespace rusttorch::patch
