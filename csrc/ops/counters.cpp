#include "counters.h"

#include <cstring>
#include <mutex>
#include <vector>

#include "../kernels/dispatch.h"

namespace rusttorch {
namespace {

constexpr std::array<const char*, 4> kIsaNames = {"scalar", "avx2", "avx512", "neon"};

struct Registry {
  std::mutex mutex;
  std::vector<DecisionPoint*> points;
};

// Never destroyed: operators may be called while the process exits.
Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

}  // namespace

DecisionPoint::DecisionPoint(const char* name) : name_(name) {
  std::lock_guard<std::mutex> lock(registry().mutex);
  registry().points.push_back(this);
}

void DecisionPoint::count_isa() {
  const char* active = kernels().name;
  for (size_t i = 0; i < kIsaNames.size(); ++i) {
    if (std::strcmp(kIsaNames[i], active) == 0) isa_counts_[i].fetch_add(1, std::memory_order_relaxed);
  }
}

std::map<std::string, int64_t> DecisionPoint::read() const {
  std::map<std::string, int64_t> result;
  for (size_t i = 0; i < counts_.size(); ++i) result[kDecisionNames[i]] = counts_[i].load(std::memory_order_relaxed);
  for (size_t i = 0; i < isa_counts_.size(); ++i) {
    if (const int64_t count = isa_counts_[i].load(std::memory_order_relaxed)) {
      result[std::string("isa:") + kIsaNames[i]] = count;
    }
  }
  return result;
}

void DecisionPoint::reset() {
  for (auto& count : counts_) count.store(0, std::memory_order_relaxed);
  for (auto& count : isa_counts_) count.store(0, std::memory_order_relaxed);
}

std::map<std::string, std::map<std::string, int64_t>> read_counters() {
  std::lock_guard<std::mutex> lock(registry().mutex);
  std::map<std::string, std::map<std::string, int64_t>> result;
  for (const DecisionPoint* point : registry().points) {
    for (const auto& [reason, count] : point->read()) result[point->name()][reason] += count;
  }
  return result;
}

void reset_counters() {
  std::lock_guard<std::mutex> lock(registry().mutex);
  for (DecisionPoint* point : registry().points) point->reset();
}

}  // namespace rusttorch
