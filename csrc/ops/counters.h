// The decision points: every operator that may take the fast path counts what it decided and why.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "../patch/scope.h"

namespace rusttorch {

// What a decision point answered. `taken` is the fast path, the others say why ATen ran instead.
enum class Decision : int { taken, dtype, layout, arguments, slower, count };
inline constexpr std::array<const char*, static_cast<int>(Decision::count)> kDecisionNames = {
    "taken", "dtype", "layout", "arguments", "slower"};
static_assert(patch::kDecisions == static_cast<int>(Decision::count));

// One per operator name ("gelu", "gelu_backward"); lives for the whole process. Relaxed atomics: about 5 ns a call.
class DecisionPoint {
 public:
  explicit DecisionPoint(const char* name);
  // Counts and returns true for `taken`, so that a caller can write `if (!point.count(decision)) return aten(...)`.
  bool count(Decision decision) {
    counts_[static_cast<int>(decision)].fetch_add(1, std::memory_order_relaxed);
    if (patch::current_counts) {
      (*patch::current_counts)[static_cast<size_t>(decision)].fetch_add(1, std::memory_order_relaxed);
    }
    if (decision == Decision::taken) count_isa();
    return decision == Decision::taken;
  }
  std::map<std::string, int64_t> read() const;  // reason -> count, and "isa:<name>" -> fast calls run by that table
  void reset();
  const char* name() const { return name_; }

 private:
  void count_isa();
  const char* name_;
  std::array<std::atomic<int64_t>, static_cast<int>(Decision::count)> counts_{};
  std::array<std::atomic<int64_t>, 4> isa_counts_{};
};

// Operator name -> its counts.
std::map<std::string, std::map<std::string, int64_t>> read_counters();
void reset_counters();

}  // namespace rusttorch
