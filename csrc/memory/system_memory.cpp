#include "system_memory.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>

namespace rusttorch::memory {
namespace {

constexpr size_t kHugePage = size_t(2) << 20;

size_t whole_pages(size_t bytes) {
  static const size_t page = size_t(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

class Posix final : public SystemMemory {
 public:
  void* map(size_t bytes, bool huge_pages) override {
    bytes = whole_pages(bytes);
    const bool aligned = bytes >= kHugePage;
    const size_t mapped = aligned ? bytes + kHugePage : bytes;  // room to move to a boundary; the rest goes back
    void* const raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return nullptr;
    if (!aligned) return raw;
    char* const begin = static_cast<char*>(raw);
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
    char* const data = begin + before;
    if (before > 0) munmap(begin, before);
    munmap(data + bytes, mapped - before - bytes);
#ifdef MADV_HUGEPAGE
    // Whole huge pages only: one at the ragged end would hold memory that nobody asked for. Refused: small pages do.
    if (huge_pages) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    return data;
  }
  void unmap(void* data, size_t bytes) override { munmap(data, whole_pages(bytes)); }
  int64_t now_ms() override {
#ifdef CLOCK_MONOTONIC_COARSE
    constexpr clockid_t clock = CLOCK_MONOTONIC_COARSE;  // a few ms of resolution for 5 ns a call
#else
    constexpr clockid_t clock = CLOCK_MONOTONIC;
#endif
    timespec time{};
    clock_gettime(clock, &time);
    return int64_t(time.tv_sec) * 1000 + time.tv_nsec / 1000000;
  }
};

// The number in a file of one number, or `otherwise` ("max", no such file).
size_t number_in(const char* path, size_t otherwise) {
  std::FILE* const file = std::fopen(path, "re");
  if (!file) return otherwise;
  unsigned long long value = 0;
  const bool found = std::fscanf(file, "%llu", &value) == 1;
  std::fclose(file);
  return found ? size_t(value) : otherwise;
}

// MemAvailable of /proc/meminfo: free memory and what caches would give back.
size_t available_bytes(size_t otherwise) {
  std::FILE* const file = std::fopen("/proc/meminfo", "re");
  if (!file) return otherwise;
  char line[128];
  unsigned long long kib = 0;
  bool found = false;
  while (!found && std::fgets(line, sizeof line, file)) found = std::sscanf(line, "MemAvailable: %llu", &kib) == 1;
  std::fclose(file);
  return found ? size_t(kib) << 10 : otherwise;
}

}  // namespace

SystemMemory& system_memory() {
  static Posix& instance = *new Posix;
  return instance;
}

MemoryInfo memory_info() {
  const size_t page = size_t(sysconf(_SC_PAGESIZE)), unlimited = std::numeric_limits<size_t>::max();
  MemoryInfo info{};
  info.total_bytes = size_t(sysconf(_SC_PHYS_PAGES)) * page;
  info.free_bytes = std::min(info.total_bytes, available_bytes(info.total_bytes));
  const struct {
    const char *limit, *used;
  } groups[] = {{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
                {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
  for (const auto& group : groups) {
    const size_t limit = number_in(group.limit, unlimited);
    if (limit >= info.total_bytes) continue;  // none, or version 1's "unlimited" of 2^63 - 4096
    info.total_bytes = limit;
    info.free_bytes = std::min(info.free_bytes, limit - std::min(limit, number_in(group.used, 0)));
  }
  return info;
}

}  // namespace rusttorch::memory
