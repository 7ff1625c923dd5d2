// Products that no library computes fast on this CPU, in a wider dtype: rounded, or wrapped, once at the end.
#pragma once
#include "common.h"

namespace rusttorch {

// The dtype that a product of `type` is computed in; `type` itself where it is computed as it is.
inline at::ScalarType product_type(at::ScalarType type) {
#if defined(__x86_64__)
  // Without AVX-512, oneDNN leaves bfloat16 and float16 to plain loops: 2.4 to 3 s for 1024 x 1024 x 1024 on 2 cores of a
  // Zen 3, 0.1 s where both are contiguous along k; as float32 0.02 s.
  static const bool has_no_half = !__builtin_cpu_supports("avx512bw");
  if (has_no_half && (type == at::kBFloat16 || type == at::kHalf)) return at::kFloat;
#endif
  return type == at::kChar ? at::kInt : type;  // exact: int32 wraps to the same byte
}

// Whether `batch` products rows x k times k x columns pay for the copies: from 4 rows, or where torch reads b against its
// order; of bytes, which torch reads faster, from 64^3.
inline bool pays_widening(at::ScalarType type, int64_t batch, int64_t rows, int64_t k, int64_t columns,
                          bool b_by_rows) {
  const int64_t multiply_adds = rows * k * columns;
  if (type == at::kChar) return batch * multiply_adds >= 1 << 18;
  return multiply_adds >= 1 << 12 && (rows >= 4 || b_by_rows);
}

// Of [batch, ]rows x k and [batch, ]k x columns.
inline bool is_widened(const Tensor& a, const Tensor& b) {
  const at::ScalarType type = a.scalar_type();
  if (product_type(type) == type || b.scalar_type() != type) return false;
  if (a.layout() != at::kStrided || b.layout() != at::kStrided || a.dim() < 2 || b.dim() < 2) return false;
  return pays_widening(type, a.dim() == 3 ? a.size(0) : 1, a.size(-2), a.size(-1), b.size(-1), b.stride(-1) == 1);
}

inline Tensor widened(const Tensor& tensor) { return tensor.to(product_type(tensor.scalar_type())); }

}  // namespace rusttorch
