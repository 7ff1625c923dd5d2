#include "pool_allocator.h"

#include <c10/core/CPUAllocator.h>
#include <pthread.h>

#include <atomic>
#include <string>

namespace rusttorch::memory {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RUSTTORCH_ADDRESS_SANITIZER  // clang's way to say it
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(RUSTTORCH_ADDRESS_SANITIZER)
constexpr bool kPooling = false;
#else
constexpr bool kPooling = true;
#endif

std::atomic<bool> installed{false};
// The allocator that install() found; ours hands on to it what it does not pool.
std::atomic<c10::Allocator*> previous{nullptr};

c10::Allocator& stock() {
  c10::Allocator* const found = previous.load(std::memory_order_acquire);
  return found ? *found : *c10::GetCPUAllocator();
}

void free_block(void* data) {
  if (!data) return;
  c10::profiledCPUMemoryReporter().Delete(data);  // before the block can be another tensor's
  process_pool().free(data);
}

// raw_deallocate(): `data` may also be what the stock allocator gave for a small request.
void free_any(void* data) {
  if (process_pool().owns(data)) return free_block(data);
  stock().raw_deleter()(data);
}
// Requests that are not pooled come with the stock allocator's deleter; so there is a raw interface if that one has one.
c10::DeleterFnPtr raw_deleter_of_both() { return stock().raw_deleter() ? &free_any : nullptr; }

c10::DataPtr allocate_pooled(size_t bytes) {
  void* const data = process_pool().allocate(bytes);
  if (!data) return stock().allocate(bytes);  // which reports and raises as torch does
  c10::profiledCPUMemoryReporter().New(data, bytes);
  return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
}

// Pools while its flag is set; else, and for small requests, the stock allocator serves.
class PoolAllocator final : public c10::Allocator {
 public:
  explicit PoolAllocator(const std::atomic<bool>& pools) : pools_(pools) {}
  c10::DataPtr allocate(size_t bytes) override {
    const bool pooled = kPooling && bytes >= kSmallest && pools_.load(std::memory_order_relaxed);
    return pooled ? allocate_pooled(bytes) : stock().allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return raw_deleter_of_both(); }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

 private:
  const std::atomic<bool>& pools_;
};

// Allocators live for ever: storage points to the one it came from.
PoolAllocator& process_allocator() {
  static PoolAllocator& instance = *new PoolAllocator(installed);
  return instance;
}

}  // namespace

c10::Allocator& result_allocator() {
  static const std::atomic<bool> always{true};
  static PoolAllocator& instance = *new PoolAllocator(always);
  return instance;
}

Pool& process_pool() {
  static Pool& instance = []() -> Pool& {
    Pool& pool = *new Pool(system_memory(), Settings{.limit_bytes = memory_info().total_bytes / 8});
    pthread_atfork([] { process_pool().prepare_fork(); }, [] { process_pool().after_fork(); },
                   [] { process_pool().after_fork(); });
    return pool;
  }();
  return instance;
}

std::string install() {
  c10::Allocator* const current = c10::GetCPUAllocator();
  if (current != &process_allocator()) {
    // One that came after ours may hand requests on to ours, and ours would hand them back.
    if (previous.load()) return "another library has replaced torchext's allocator since it was installed";
    process_pool();
    previous.store(current, std::memory_order_release);
    c10::SetCPUAllocator(&process_allocator());
    if (c10::GetCPUAllocator() != &process_allocator()) {
      previous.store(nullptr);
      return "another library has registered a CPU allocator with a higher priority";
    }
  }
  installed.store(true);
  return "";
}

void uninstall() { installed.store(false); }
bool is_installed() { return kPooling && installed.load() && c10::GetCPUAllocator() == &process_allocator(); }

bool is_foreign_allocator() {
  c10::Allocator* current = c10::GetCPUAllocator();
  if (current == &process_allocator()) current = previous.load();
  return current != c10::GetDefaultCPUAllocator();
}

bool is_pooling() { return kPooling; }

}  // namespace rusttorch::memory
