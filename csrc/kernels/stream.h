// Stores that go to memory without first reading the line they fall into. For results that no cache will hold: they save
// a quarter of the traffic of an addition. The kernels fill a buffer in the first-level cache, this moves it on, so no
// kernel exists twice. Torch-free, no vectors of an ISA: 16 bytes at a time fill a line as fast as 64 do.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace rusttorch {

// One line of 64 bytes; `from` has any alignment.
inline void stream_line(char* to, const char* from) {
#if defined(__SSE2__)
  for (int k = 0; k < 64; k += 16) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + k), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k)));
  }
#elif defined(__aarch64__)
  for (int k = 0; k < 64; k += 32) {
    const uint8x16_t low = vld1q_u8(reinterpret_cast<const uint8_t*>(from + k));
    const uint8x16_t high = vld1q_u8(reinterpret_cast<const uint8_t*>(from + k + 16));
    asm volatile("stnp %q1, %q2, [%0]" : : "r"(to + k), "w"(low), "w"(high) : "memory");
  }
#else
  std::memcpy(to, from, 64);
#endif
}

// to[0, bytes) = from[0, bytes), of any alignment: a part of a line by ordinary stores, because the two kinds disturb each
// other in one line. Other threads see the data after stream_end().
inline void stream(void* to, const void* from, int64_t bytes) {
#if defined(__SSE2__) || defined(__aarch64__)
  char* const out = static_cast<char*>(to);
  const char* const in = static_cast<const char*>(from);
  const int64_t before = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(out) & 63);
  if (before < bytes) {
    if (before > 0) std::memcpy(out, in, static_cast<size_t>(before));
    int64_t i = before;
    for (; i + 64 <= bytes; i += 64) stream_line(out + i, in + i);
    if (i < bytes) std::memcpy(out + i, in + i, static_cast<size_t>(bytes - i));
    return;
  }
#endif
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

inline void stream_end() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace rusttorch
