#include "results.h"

#include <ATen/EmptyTensor.h>
#include <unistd.h>

#include <cstdio>

#include "../memory/pool_allocator.h"

namespace rusttorch {
namespace {

constexpr c10::DispatchKeySet kCpu(c10::DispatchKey::CPU);

// The last-level cache as this process sees it. sysconf adds up the whole socket on some processors; the kernel's own
// description is of one cache.
int64_t last_level_cache_bytes() {
  for (const char* path :
       {"/sys/devices/system/cpu/cpu0/cache/index3/size", "/sys/devices/system/cpu/cpu0/cache/index2/size"}) {
    std::FILE* const file = std::fopen(path, "re");
    if (!file) continue;
    long long kib = 0;
    const bool found = std::fscanf(file, "%lldK", &kib) == 1;
    std::fclose(file);
    if (found && kib > 0) return kib << 10;
  }
#ifdef _SC_LEVEL3_CACHE_SIZE
  if (const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE); bytes > 0) return bytes;
#endif
  return int64_t(8) << 20;
}

}  // namespace

// Beyond the last-level cache, bytes that were just written do not stay in it. Measured with 32 MiB (2 Zen 3 cores,
// float32 add, pooled; streamed over plain): 24 MB 1.1, 48 MB 0.8, 192 MB 0.75.
std::atomic<int64_t>& streaming_threshold() {
  static std::atomic<int64_t>& bytes = *new std::atomic<int64_t>(last_level_cache_bytes());
  return bytes;
}

Tensor empty_result(at::IntArrayRef sizes, at::ScalarType type, std::optional<at::MemoryFormat> memory_format) {
  return Tensor(at::detail::empty_generic(sizes, &memory::result_allocator(), kCpu, type, memory_format));
}

Tensor empty_strided_result(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType type) {
  return Tensor(at::detail::empty_strided_generic(sizes, strides, &memory::result_allocator(), kCpu, type));
}

Tensor empty_like_dense(const Tensor& self, at::ScalarType type) {
  if (self.is_contiguous()) return empty_result(self.sizes(), type);
  if (self.is_contiguous(at::MemoryFormat::ChannelsLast)) {
    return empty_result(self.sizes(), type, at::MemoryFormat::ChannelsLast);
  }
  return empty_strided_result(self.sizes(), self.strides(), type);
}

}  // namespace rusttorch
