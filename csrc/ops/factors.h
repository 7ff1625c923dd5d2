// Factors that broadcast over a contiguous tensor (weights of a loss), read piece by piece: no whole copy.
#pragma once
#include <c10/util/SmallVector.h>

#include "common.h"

namespace rusttorch {

// Whether `factors` broadcasts to `sizes`, and not the other way.
bool expands_to(const Tensor& factors, at::IntArrayRef sizes);

// One factor for each element of a contiguous tensor. `factors` must outlive this.
class Factors {
 public:
  Factors(const Tensor& factors, at::IntArrayRef sizes);
  // True where the factors lie in memory as the elements do: then nothing is copied.
  bool is_array() const { return is_array_; }
  // Those of elements [begin, begin + count): in place, or written to `buffer`.
  const char* read(int64_t begin, int64_t count, char* buffer) const;

 private:
  void copy_from(int64_t begin, int64_t count, char* buffer) const;

  const char* data_;
  int64_t element_size_;
  bool is_array_;
  int64_t period_ = 1;                    // elements after which the factors repeat
  c10::SmallVector<int64_t, 4> sizes_;    // of neighbouring dimensions joined, the innermost first
  c10::SmallVector<int64_t, 4> strides_;  // in elements
};

}  // namespace rusttorch
