#include "factors.h"

#include <algorithm>
#include <cstring>

namespace rusttorch {
namespace {

template <class T>
void copy_run(char* to, const char* from, int64_t stride, int64_t n) {
  if (stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < n; ++i) {  // pointers may be unaligned
    std::memcpy(to + i * int64_t(sizeof(T)), from + i * stride * int64_t(sizeof(T)), sizeof(T));
  }
}

}  // namespace

bool expands_to(const Tensor& factors, at::IntArrayRef sizes) {
  const int64_t before = static_cast<int64_t>(sizes.size()) - factors.dim();
  if (before < 0) return false;
  for (int64_t d = 0; d < factors.dim(); ++d) {
    if (factors.size(d) != 1 && factors.size(d) != sizes[before + d]) return false;
  }
  return true;
}

Factors::Factors(const Tensor& factors, at::IntArrayRef sizes)
    : data_(static_cast<const char*>(factors.const_data_ptr())), element_size_(factors.element_size()) {
  const int64_t before = static_cast<int64_t>(sizes.size()) - factors.dim();
  for (int64_t d = static_cast<int64_t>(sizes.size()) - 1; d >= 0; --d) {
    if (sizes[d] == 1) continue;
    const int64_t stride = d < before || factors.size(d - before) == 1 ? 0 : factors.stride(d - before);
    if (!sizes_.empty() && stride == sizes_.back() * strides_.back()) {
      sizes_.back() *= sizes[d];
    } else {
      sizes_.push_back(sizes[d]);
      strides_.push_back(stride);
    }
  }
  is_array_ = sizes_.empty() || (sizes_.size() == 1 && strides_[0] == 1);
  const size_t repeated = !sizes_.empty() && strides_.back() == 0 ? 1 : 0;
  for (size_t d = 0; d + repeated < sizes_.size(); ++d) period_ *= sizes_[d];
}

const char* Factors::read(int64_t begin, int64_t count, char* buffer) const {
  if (is_array_) return data_ + begin * element_size_;
  int64_t filled = std::min(count, period_);
  copy_from(begin, filled, buffer);
  for (; filled < count; filled += std::min(filled, count - filled)) {  // the whole periods so far, once more
    std::memcpy(buffer + filled * element_size_, buffer,
                static_cast<size_t>(std::min(filled, count - filled) * element_size_));
  }
  return buffer;
}

void Factors::copy_from(int64_t begin, int64_t count, char* buffer) const {
  c10::SmallVector<int64_t, 4> index(sizes_.size(), 0);
  int64_t offset = 0, rest = begin;
  for (size_t d = 0; d < sizes_.size(); ++d) {
    index[d] = rest % sizes_[d];
    rest /= sizes_[d];
    offset += index[d] * strides_[d];
  }
  while (count > 0) {
    const int64_t run = std::min(count, sizes_[0] - index[0]);
    const char* const from = data_ + offset * element_size_;
    if (element_size_ == 2) copy_run<uint16_t>(buffer, from, strides_[0], run);
    if (element_size_ == 4) copy_run<uint32_t>(buffer, from, strides_[0], run);
    if (element_size_ == 8) copy_run<uint64_t>(buffer, from, strides_[0], run);
    buffer += run * element_size_;
    count -= run;
    index[0] += run;
    offset += run * strides_[0];
    for (size_t d = 0; d < sizes_.size() && index[d] == sizes_[d]; ++d) {  // carry
      offset -= sizes_[d] * strides_[d];
      index[d] = 0;
      if (d + 1 == sizes_.size()) break;
      ++index[d + 1];
      offset += strides_[d + 1];
    }
  }
}

}  // namespace rusttorch
