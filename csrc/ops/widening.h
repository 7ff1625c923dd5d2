// Products that no library computes fast on this CPU, in a wider dtype: rounded, or wrapped, once at the end.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>

#include "common.h"

namespace rusttorch {

// What torch's operator of this name, without arguments, says of this CPU; false in a torch without oneDNN.
inline bool onednn_says(const char* name) {
  const auto found = c10::Dispatcher::singleton().findSchema({name, ""});
  return found && found->typed<bool()>().call();
}

// The dtype that a product of `type` is computed in; `type` itself where it is computed as it is.
inline at::ScalarType product_type(at::ScalarType type) {
#if defined(__x86_64__)
  // oneDNN leaves bfloat16 without AVX-512 and float16 without AVX512-FP16 to plain loops: 2.4 to 3 s for 1024 x 1024 x
  // 1024 on 2 cores of a Zen 3 or a Zen 4, 0.1 or 0.05 s where both are contiguous along k; as float32 0.02 or 0.01 s.
  static const bool has_bfloat16 = onednn_says("mkldnn::_is_mkldnn_bf16_supported");
  static const bool has_float16 = onednn_says("mkldnn::_is_mkldnn_fp16_supported");
  if ((!has_bfloat16 && type == at::kBFloat16) || (!has_float16 && type == at::kHalf)) return at::kFloat;
#endif
  return type == at::kChar ? at::kInt : type;  // exact: int32 wraps to the same byte
}

// Rows from which a product of float16 or bfloat16 pays for the copies although torch reads b in its order, by vectors
// with AVX-512: (8|12|16,768)x(768,3072) by columns 0.7, 0.9, 1.1 of torch's speed.
inline int64_t least_widened_rows() {
#if defined(__x86_64__)
  static const int64_t least = __builtin_cpu_supports("avx512bw") ? 16 : 4;
  return least;
#else
  return 4;
#endif
}

// Whether `batch` products rows x k times k x columns pay for the copies: from some rows on, or where torch reads b
// against its order; of bytes, which torch reads faster, from 64^3.
inline bool pays_widening(at::ScalarType type, int64_t batch, int64_t rows, int64_t k, int64_t columns,
                          bool b_by_rows) {
  const int64_t multiply_adds = rows * k * columns;
  if (type == at::kChar) return batch * multiply_adds >= 1 << 18;
  return multiply_adds >= 1 << 12 && (rows >= least_widened_rows() || b_by_rows);
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
