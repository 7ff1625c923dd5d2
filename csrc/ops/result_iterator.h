// A TensorIterator whose result is fresh and from the pool, for layouts that are not dense.
#pragma once
#include <ATen/TensorIterator.h>
#include <torch/headeronly/version.h>

#include "results.h"

namespace rusttorch {

// Give an undefined tensor as output to its build functions; result() is it afterwards.
class ResultIterator final : public at::TensorIteratorBase {
 public:
  const Tensor& result() const { return result_; }
  const Tensor& maybe_get_output(int64_t) override { return result_; }

// Names of dimensions went out of the signature between torch 2.11 and 2.13.
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 13
  void set_output_raw_strided(int64_t index, at::IntArrayRef sizes, at::IntArrayRef strides,
                              at::TensorOptions options) override {
    allocate(sizes, strides, options);
    at::TensorIteratorBase::set_output_raw_strided(index, sizes, strides, options);
  }
#else
  void set_output_raw_strided(int64_t index, at::IntArrayRef sizes, at::IntArrayRef strides, at::TensorOptions options,
                              at::DimnameList names) override {
    allocate(sizes, strides, options);
    at::TensorIteratorBase::set_output_raw_strided(index, sizes, strides, options, names);
  }
#endif

 private:
  void allocate(at::IntArrayRef sizes, at::IntArrayRef strides, const at::TensorOptions& options) {
    const at::ScalarType type = at::typeMetaToScalarType(options.dtype());
    result_ = strides.empty() ? empty_result(sizes, type, options.memory_format_opt())
                              : empty_strided_result(sizes, strides, type);
  }

  Tensor result_;
};

}  // namespace rusttorch
