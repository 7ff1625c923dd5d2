// How results come into being: where their memory is from, and how they are written.
#pragma once
#include <atomic>

#include "../kernels/stream.h"
#include "common.h"

namespace rusttorch {

// Bytes an operation must move before its result is written around the caches; see results.cpp. Benches and tests set it.
std::atomic<int64_t>& streaming_threshold();
// Whether an operation that reads so many bytes finds them in memory, not in a cache, as far as one can know.
inline bool is_from_memory(int64_t bytes) { return bytes > streaming_threshold() / 2; }

// Results from the pool (csrc/memory): in a memory format, contiguous unless told, or with given strides.
Tensor empty_result(at::IntArrayRef sizes, at::ScalarType type,
                    std::optional<at::MemoryFormat> memory_format = std::nullopt);
Tensor empty_strided_result(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType type);
// A fresh result for a dense `self`, with the strides TensorIterator would choose.
Tensor empty_like_dense(const Tensor& self, at::ScalarType type);

// Elements that take longer are not streamed: then the processor, not memory, sets the pace, and the detour costs. 16 M
// float32, streamed over plain, everything pooled: add 0.75, relu 0.8, tanh (0.6 ns) 1.2.
inline constexpr double kStreamedNanoseconds = 0.2;
// What is computed in the first-level cache before it is streamed: few enough stores for the processor to queue while it
// reads for the next piece. add of 16 Mi on Zen 4, pooled, over torch's: 256 bytes 1.03 to 1.23, 512 0.95 to 1.22, 2048
// 0.79 to 1.03. At four places in turn, as sums are read (kReadStreams), it is no faster, with 2048 bytes slower.
inline constexpr int64_t kStreamBytes = 256;
// The same in elements of `size` bytes: whole blocks of dropout.
constexpr int64_t streamed_at_once(int64_t size) { return std::max<int64_t>(64, kStreamBytes / size); }

// Writes elements [begin, end) of `size` bytes to `out`: compute(to, begin, count) computes `count` of them from `begin`
// on and writes them to `to`. Call stream_end() after the last piece that streams.
template <class Compute>
void write_range(char* out, int64_t begin, int64_t end, int64_t size, bool streams, const Compute& compute) {
  if (!streams) return compute(out + begin * size, begin, end - begin);
  alignas(64) char buffer[streamed_at_once(sizeof(double)) * sizeof(double)];
  // Up to a boundary of lines first: of pieces between boundaries, 16 Mi elements in rows of 4099 took 8 times as long.
  const int64_t before = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(out + begin * size) & 63) / size;
  const int64_t chunk = streamed_at_once(size);
  for (int64_t count = before > 0 ? before : chunk; begin < end; begin += count, count = chunk) {
    count = std::min(count, end - begin);
    compute(buffer, begin, count);
    stream(out + begin * size, buffer, count * size);
  }
}

// Writes out[0, n), elements of `size` bytes, as write_range does, in parallel when the work pays for it: an element takes
// `nanoseconds` on one core. `bytes_moved` is what the whole operation reads and writes, 0 where the result is read as
// well (in place).
template <class Compute>
void write_result(void* out, int64_t n, int64_t size, double nanoseconds, int64_t bytes_moved, const Compute& compute) {
  char* const data = static_cast<char*>(out);
  const bool streams = bytes_moved > streaming_threshold() && nanoseconds <= kStreamedNanoseconds;
  for_each_range(n, nanoseconds, [&](int64_t begin, int64_t end) {
    write_range(data, begin, end, size, streams, compute);
    if (streams) stream_end();
  });
}

}  // namespace rusttorch
