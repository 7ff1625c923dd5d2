// In which order what lies in memory is read: docs/decisions/0011-reading-at-four-places.md. Torch-free.
#pragma once
#include <cstdint>

namespace rusttorch {

// Memory and the last cache answer four places, far apart and 2 KiB at each in turn, faster than one: while three are
// read, the core fetches what is left of the page of the fourth. Two Zen 4 cores, 64 MiB: 64 GB/s over 49, 130 over 88
// where half is in the last cache.
inline constexpr int kReadStreams = 4;
template <class C>
inline constexpr int64_t kReadRun = 2048 / sizeof(C);  // elements of float and double

}  // namespace rusttorch
