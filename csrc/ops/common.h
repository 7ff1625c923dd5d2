// What every op file shares: dtypes, the parallel loop and its cost model.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <c10/util/FunctionRef.h>

#include <algorithm>

#include "../kernels/dispatch.h"
#include "counters.h"

namespace rusttorch {

using at::Scalar;
using at::Tensor;

// Masks of dimensions have so many bits; a tensor with more dimensions is ATen's.
inline constexpr int64_t kMostDims = 64;

// Index of a dtype in a kernel row, or -1 when it is not one of ours.
inline int dtype_index(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return kFloat32;
    case at::kDouble: return kFloat64;
    case at::kBFloat16: return kBFloat16;
    case at::kHalf: return kFloat16;
    case at::kInt: return kInt32;
    case at::kLong: return kInt64;
    default: return -1;
  }
}
inline bool is_floating_index(int index) { return index >= 0 && index < kFloatingDtypes; }

// True in a process forked after this library was loaded. GNU OpenMP's pool does not survive a fork, so that a parallel
// region in the child would wait for ever: our own loops run serially there.
bool is_forked_child();

// Waking a second thread costs about 3 us here, so a thread must have this much work to be worth it.
inline constexpr double kNanosecondsPerThread = 6000;
// The most chunks of a thread's share, and the work of the least one.
inline constexpr int64_t kChunks = 8, kChunkGrains = 3;

// Elements that one thread should have at least, when an element takes `nanoseconds` on one core.
inline int64_t grain_size(double nanoseconds) {
  return std::max<int64_t>(1, static_cast<int64_t>(kNanosecondsPerThread / nanoseconds));
}

// body(begin, end) over [0, n), one range for each thread that has enough to do: where the size of a range counts.
template <class Body>
void for_each_share(int64_t n, double nanoseconds, const Body& body) {
  if (n == 0) return;
  const int64_t grain = grain_size(nanoseconds);
  if (n <= grain || is_forked_child()) return body(0, n);
  at::parallel_for(0, n, grain, body);
}

// body(begin, end) for chunks of [0, n), on `threads` threads.
void for_each_chunk(int64_t n, int64_t chunk, int64_t threads, c10::function_ref<void(int64_t, int64_t)> body);

// The same where many ranges cost no more than one. An element takes `nanoseconds` on one core.
template <class Body>
void for_each_range(int64_t n, double nanoseconds, const Body& body) {
  const int64_t grain = grain_size(nanoseconds);
  const int64_t threads = std::clamp<int64_t>(n / grain, 1, at::get_num_threads());
  const int64_t chunks = threads * std::min(kChunks, n / (threads * kChunkGrains * grain));
  if (threads == 1 || chunks < 2 * threads || is_forked_child() || at::in_parallel_region()) {
    return for_each_share(n, nanoseconds, body);
  }
  const int64_t chunk = (n + chunks - 1) / chunks;
  for_each_chunk(n, chunk < 1024 ? chunk : (chunk + 63) / 64 * 64, threads, body);
}

// True for storage that is one gapless block, whatever the order of the dimensions; `a` and `b` walk it alike.
inline bool is_dense(const Tensor& a) { return a.is_contiguous() || a.is_non_overlapping_and_dense(); }
inline bool same_dense_layout(const Tensor& a, const Tensor& b) {
  if (a.is_contiguous() && b.is_contiguous()) return a.sizes() == b.sizes();
  return a.sizes() == b.sizes() && a.strides() == b.strides() && a.is_non_overlapping_and_dense();
}

}  // namespace rusttorch
