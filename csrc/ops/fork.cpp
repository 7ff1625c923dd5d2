#include <pthread.h>

#include <atomic>

#include "common.h"

namespace rusttorch {
namespace {
std::atomic<bool> forked{false};
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
}  // namespace

bool is_forked_child() { return forked.load(std::memory_order_relaxed); }

}  // namespace rusttorch
