// Sums whose bits do not depend on the number of threads: pieces of a fixed size, added in their order
// (kernels/summation.h).
#pragma once
#include <c10/util/SmallVector.h>

#include "../kernels/summation.h"
#include "common.h"

namespace rusttorch {

// The piece that a kernel of this dtype adds at once, in elements.
inline int64_t sum_piece(int dtype) { return dtype == kFloat64 ? kSumPiece<double> : kSumPiece<float>; }

// The block that its additions are made of (kernels/summation.h).
inline int64_t sum_block(int dtype) { return dtype == kFloat64 ? kSumBlock<double> : kSumBlock<float>; }

// The sum of piece(begin, count) over [0, n), in parallel when the work pays for it: an element takes `nanoseconds` on one
// core.
template <class Piece>
double sum_of_pieces(int64_t n, int dtype, double nanoseconds, const Piece& piece) {
  const int64_t size = sum_piece(dtype), count = (n + size - 1) / size;
  c10::SmallVector<double, 64> sums(count);
  for_each_range(count, nanoseconds * static_cast<double>(std::min(size, n)), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) sums[k] = piece(k * size, std::min(size, n - k * size));
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace rusttorch
