#include <gtest/gtest.h>

#include <cstring>

#include "system_memory.h"

namespace rusttorch::memory {
namespace {

TEST(SystemMemory, MapsZeroesOnABoundary) {
  for (const size_t bytes : {size_t(1) << 16, (size_t(2) << 20) + 4096, (size_t(9) << 20) + (size_t(1) << 18)}) {
    for (const bool huge_pages : {false, true}) {
      char* const data = static_cast<char*>(system_memory().map(bytes, huge_pages));
      ASSERT_NE(data, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % (bytes < (size_t(2) << 20) ? 4096 : 2 << 20), 0u);
      for (size_t i = 0; i < bytes; i += 4096) ASSERT_EQ(data[i], 0);
      std::memset(data, 1, bytes);
      system_memory().unmap(data, bytes);
    }
  }
}

TEST(SystemMemory, RefusesWhatNoMachineHas) { EXPECT_EQ(system_memory().map(size_t(1) << 60, true), nullptr); }

TEST(SystemMemory, ClockRuns) {
  const int64_t start = system_memory().now_ms();
  while (system_memory().now_ms() == start) {}
  EXPECT_GT(system_memory().now_ms(), start);
}

TEST(SystemMemory, InfoIsPlausible) {
  const MemoryInfo info = memory_info();
  EXPECT_GT(info.total_bytes, size_t(64) << 20);
  EXPECT_LE(info.free_bytes, info.total_bytes);
}

}  // namespace
}  // namespace rusttorch::memory
