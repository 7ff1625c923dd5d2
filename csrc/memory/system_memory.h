// What the pool asks of the operating system, behind an interface that tests replace.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rusttorch::memory {

class SystemMemory {
 public:
  virtual ~SystemMemory() = default;
  // Zeroed memory on a page boundary, from 2 MiB on a huge page's; nullptr when the system refuses.
  virtual void* map(size_t bytes, bool huge_pages) = 0;
  virtual void unmap(void* data, size_t bytes) = 0;
  virtual int64_t now_ms() = 0;  // monotonic
};

// The real one; lives for ever.
SystemMemory& system_memory();

struct MemoryInfo {
  size_t free_bytes, total_bytes;
};
// RAM, or the limit of the control group when that is lower, and what of it is available.
MemoryInfo memory_info();

}  // namespace rusttorch::memory
