// Products that no library computes fast on this CPU, in a wider dtype: rounded, or wrapped, once at the end.
#pragma once
#include "common.h"

namespace rusttorch {

// The dtype that a product of `type` is computed in; `type` itself where it is computed as it is.
inline at::ScalarType product_type(at::ScalarType type) {
#if defined(__x86_64__)
  // Without AVX-512, oneDNN leaves bfloat16 and float16 to plain loops: 2.6 s for 1024 x 1024 x 1024 on 2 cores of a Zen 3,
  // 0.12 s where both are contiguous along k; as float32 0.03 s.
  static const bool has_no_half = !__builtin_cpu_supports("avx512bw");
  if (has_no_half && (type == at::kBFloat16 || type == at::kHalf)) return at::kFloat;
#endif
  // Exact: int32 wraps to the same byte. 512 x 512 x 512 3.6 ms on AVX2, torch 4.5.
  return type == at::kChar ? at::kInt : type;
}

// Whether a [batch, ]rows x k times b [batch, ]k x columns pays for the copies: from 4 rows, or where torch reads b against
// its order; of bytes, which torch reads faster, from 64^3.
inline bool is_widened(const Tensor& a, const Tensor& b) {
  const at::ScalarType type = a.scalar_type();
  if (product_type(type) == type || b.scalar_type() != type) return false;
  if (a.layout() != at::kStrided || b.layout() != at::kStrided || a.dim() < 2 || b.dim() < 2) return false;
  const int64_t multiply_adds = a.size(-2) * a.size(-1) * b.size(-1);
  if (type == at::kChar) return multiply_adds * (a.dim() == 3 ? a.size(0) : 1) >= 1 << 18;
  return multiply_adds >= 1 << 12 && (a.size(-2) >= 4 || b.stride(-1) == 1);
}

inline Tensor widened(const Tensor& tensor) { return tensor.to(product_type(tensor.scalar_type())); }

}  // namespace rusttorch
