// Bytes of this machine's caches. Torch-free.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace rusttorch {

// Of one core's second level, and of the last level: what the system says, or 1 MiB and 8 MiB.
struct CacheSizes {
  int64_t second = size_or(_SC_LEVEL2_CACHE_SIZE, int64_t(1) << 20);
  int64_t last = size_or(_SC_LEVEL3_CACHE_SIZE, int64_t(8) << 20);

 private:
  static int64_t size_or(int name, int64_t otherwise) {
    const int64_t size = sysconf(name);
    return size > 0 ? size : otherwise;
  }
};

inline const CacheSizes& cache_sizes() {
  static const CacheSizes sizes;
  return sizes;
}

}  // namespace rusttorch
