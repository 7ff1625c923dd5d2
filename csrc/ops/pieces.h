// Sums whose bits do not depend on the number of threads: pieces of a fixed size, added in their order
// (kernels/summation.h).
#pragma once
#include <c10/util/SmallVector.h>

#include <algorithm>

#include "../kernels/summation.h"
#include "results.h"

namespace rusttorch {

// The piece that a kernel of this dtype adds at once, in elements.
inline int64_t sum_piece(int dtype) { return dtype == kFloat64 ? kSumPiece<double> : kSumPiece<float>; }

// The block that its additions are made of (kernels/summation.h).
inline int64_t sum_block(int dtype) { return dtype == kFloat64 ? kSumBlock<double> : kSumBlock<float>; }

// The sum of the sums of pieces of [0, n), which pieces(sums, begin, count) writes for the count elements from `begin` on,
// at most `most` pieces; in parallel when the work pays for it: an element takes `nanoseconds` on one core.
template <class Pieces>
double sum_of_pieces(int64_t n, int dtype, double nanoseconds, int64_t most, const Pieces& pieces) {
  const int64_t size = sum_piece(dtype), count = (n + size - 1) / size;
  c10::SmallVector<double, 64> sums(count);
  for_each_range(count, nanoseconds * static_cast<double>(std::min(size, n)), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; k += most) {
      pieces(&sums[k], k * size, std::min(std::min(most, end - k) * size, n - k * size));
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

// The sum of n adjacent elements.
inline double sum_of_elements(const void* in, int64_t n, int dtype, int64_t bytes, double nanoseconds,
                              bool from_memory) {
  const SumRowsKernel kernel = kernels().sum_rows[dtype];
  const int64_t size = sum_piece(dtype);
  return sum_of_pieces(n, dtype, nanoseconds, n, [&](double* sums, int64_t begin, int64_t count) {
    const char* const from = static_cast<const char*>(in) + begin * bytes;
    const int64_t whole = count / size, rest = count - whole * size;
    kernel(sums, from, whole, size, from_memory);
    if (rest > 0) kernel(sums + whole, from + whole * size * bytes, 1, rest, from_memory);
  });
}

}  // namespace rusttorch
