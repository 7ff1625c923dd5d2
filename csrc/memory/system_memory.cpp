#include "system_memory.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>

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
  void unmap(void* data, size_t bytes) override {
    bytes = whole_pages(bytes);
    // At the limit of mappings (vm.max_map_count) one cannot be cut in two; its pages can go all the same.
    if (munmap(data, bytes) != 0) madvise(data, bytes, MADV_DONTNEED);
  }
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
size_t number_in(const std::string& path, size_t otherwise) {
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (!file) return otherwise;
  unsigned long long value = 0;
  const bool found = std::fscanf(file, "%llu", &value) == 1;
  std::fclose(file);
  return found ? size_t(value) : otherwise;
}

// The number after `name` in a file of lines "name number", or `otherwise`.
size_t number_after(const std::string& path, const char* name, size_t otherwise) {
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (!file) return otherwise;
  char line[256], word[128];
  unsigned long long value = 0;
  bool found = false;
  while (!found && std::fgets(line, sizeof line, file)) {
    found = std::sscanf(line, "%127s %llu", word, &value) == 2 && std::strcmp(word, name) == 0;
  }
  std::fclose(file);
  return found ? size_t(value) : otherwise;
}

// Where the files of a control group version are, and their names.
struct GroupFiles {
  std::string folder;
  const char *limit, *used, *reclaimable;
};

// Lowers `info` to the limits of this process's control group and of those around it.
void apply_groups(const GroupFiles& files, std::string path, MemoryInfo& info) {
  for (;; path.resize(path.find_last_of('/'))) {
    const std::string folder = files.folder + path + "/";
    const size_t limit = number_in(folder + files.limit, std::numeric_limits<size_t>::max());
    if (limit < info.total_bytes) {  // version 1 says 2^63 - 4096 for "none"
      const size_t used = number_in(folder + files.used, 0);
      const size_t cached = number_after(folder + "memory.stat", files.reclaimable, 0);  // files, given back on demand
      info.total_bytes = limit;
      info.free_bytes = std::min(info.free_bytes, limit - std::min(limit, used - std::min(used, cached)));
    }
    if (path.find_last_of('/') == std::string::npos) return;
  }
}

// Lines of /proc/self/cgroup: "0::/path" for version 2, "5:memory:/path" (or "5:cpu,memory:") for version 1.
void apply_control_groups(MemoryInfo& info) {
  const GroupFiles second{"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};
  const GroupFiles first{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                         "total_inactive_file"};
  apply_groups(second, "", info);  // a container sees its own group here, whatever the path says
  apply_groups(first, "", info);
  std::FILE* const file = std::fopen("/proc/self/cgroup", "re");
  if (!file) return;
  char line[4096];
  while (std::fgets(line, sizeof line, file)) {
    line[std::strcspn(line, "\n")] = 0;
    const char* const controllers = std::strchr(line, ':');
    const char* const path = controllers ? std::strchr(controllers + 1, ':') : nullptr;
    if (!path || path[1] != '/' || path[2] == 0) continue;
    const std::string names(controllers + 1, path);
    if (names.empty()) apply_groups(second, path + 1, info);
    else if (names.find("memory") != std::string::npos) apply_groups(first, path + 1, info);
  }
  std::fclose(file);
}

}  // namespace

SystemMemory& system_memory() {
  static Posix& instance = *new Posix;
  return instance;
}

MemoryInfo memory_info() {
  MemoryInfo info{};
  info.total_bytes = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
  // MemAvailable: free memory and what caches would give back, in KiB.
  info.free_bytes =
      std::min(info.total_bytes, number_after("/proc/meminfo", "MemAvailable:", info.total_bytes >> 10) << 10);
  apply_control_groups(info);
  return info;
}

}  // namespace rusttorch::memory
