// Another library's CPU allocator, for tests/test_memory_processes.py: counts, and leaves the work to torch's default.
#include <c10/core/CPUAllocator.h>

namespace {
long allocations = 0;

class Counting final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    ++allocations;
    return c10::GetDefaultCPUAllocator()->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return c10::GetDefaultCPUAllocator()->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};
}  // namespace

extern "C" {
void foreign_set(unsigned char priority) { c10::SetCPUAllocator(new Counting, priority); }
long foreign_allocations() { return allocations; }
}
