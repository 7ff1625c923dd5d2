// Sizes of pooled blocks: 8 steps a doubling from kSmallest on, so a block is at most 12.5 % larger than the request.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

namespace rusttorch::memory {

// Below this the system's allocator is as fast and the pool would waste address space.
inline constexpr size_t kSmallest = size_t(64) << 10;
inline constexpr int kStepBits = 3, kSteps = 1 << kStepBits;
// Larger requests are refused: no machine has them, and the classes end somewhere.
inline constexpr size_t kLargest = size_t(1) << 46;
inline constexpr int kClasses = (46 - 16) * kSteps + 1;

// The smallest class whose blocks hold `bytes`, kSmallest <= bytes <= kLargest.
inline int class_of(size_t bytes) {
  if (bytes <= kSmallest) return 0;
  const size_t last = bytes - 1;
  const int doubling = int(std::bit_width(last)) - 1;             // 2^doubling <= last
  const int step = int(last >> (doubling - kStepBits)) - kSteps;  // 0 .. 7 within the doubling
  return (doubling - int(std::bit_width(kSmallest) - 1)) * kSteps + step + 1;
}

inline size_t class_size(int index) {
  return (kSmallest >> kStepBits) * size_t(kSteps + index % kSteps) << (index / kSteps);
}

}  // namespace rusttorch::memory
