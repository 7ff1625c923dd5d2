#include "torch_headers.h"

#include "elementwise.h"

#include <ATen/MemoryOverlap.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "result_iterator.h"

namespace rusttorch {
namespace {

// Bytes of stack that an operand with an odd stride is packed into, so that the kernel sees consecutive elements.
constexpr int64_t kPackBytes = 2048;

template <class T>
void pack_as(char* to, const char* from, int64_t to_stride, int64_t from_stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    std::memcpy(to + i * to_stride, from + i * from_stride, sizeof(T));  // one move; pointers may be unaligned
  }
}

void copy_strided(char* to, const char* from, int64_t to_stride, int64_t from_stride, int64_t n, int64_t size) {
  if (size == 2) pack_as<uint16_t>(to, from, to_stride, from_stride, n);
  if (size == 4) pack_as<uint32_t>(to, from, to_stride, from_stride, n);
  if (size == 8) pack_as<uint64_t>(to, from, to_stride, from_stride, n);
}

// One inner loop of TensorIterator. kernel(pointers, steps, n) sees operands with step 0 or 1 element; others are packed.
template <int kInputs, class Kernel>
void strided_loop(char** data, const int64_t* strides, int64_t n, int64_t size, bool broadcasts, const Kernel& kernel) {
  alignas(64) char buffers[kInputs + 1][kPackBytes];
  bool packed[kInputs + 1];
  bool any_packed = false;
  for (int k = 0; k <= kInputs; ++k) {
    const bool direct = strides[k] == size || n == 1 || (k > 0 && broadcasts && strides[k] == 0);
    packed[k] = !direct;
    any_packed |= packed[k];
  }
  const int64_t chunk = any_packed ? std::min(n, kPackBytes / size) : n;
  for (int64_t begin = 0; begin < n; begin += chunk) {
    const int64_t length = std::min(chunk, n - begin);
    char* pointers[kInputs + 1];
    int64_t steps[kInputs + 1];
    for (int k = 0; k <= kInputs; ++k) {
      char* source = data[k] + begin * strides[k];
      pointers[k] = packed[k] ? buffers[k] : source;
      steps[k] = packed[k] || strides[k] != 0 || n == 1 ? 1 : 0;
      if (packed[k] && k > 0) copy_strided(buffers[k], source, size, strides[k], length, size);
    }
    kernel(pointers, steps, length);
    if (packed[0]) copy_strided(data[0] + begin * strides[0], buffers[0], strides[0], size, length, size);
  }
}

// Runs `kernel` over the iterator's inner loops, in parallel when the work pays for it.
template <int kInputs, class Kernel>
void run(at::TensorIteratorBase& iterator, double nanoseconds, bool broadcasts, const Kernel& kernel) {
  if (iterator.numel() == 0) return iterator.cast_outputs();  // resizes an `out` of another dtype
  const int64_t size = c10::elementSize(iterator.common_dtype());
  const auto loop = [&](char** data, const int64_t* strides, int64_t n) {
    strided_loop<kInputs>(data, strides, n, size, broadcasts, kernel);
  };
  if (is_forked_child()) {
    iterator.serial_for_each(loop, {0, iterator.numel()});
  } else {
    iterator.for_each(loop, grain_size(nanoseconds));
  }
  iterator.cast_outputs();
}

void run_unary(at::TensorIteratorBase& iterator, UnaryKernel kernel, const UnaryPlan& plan) {
  run<1>(iterator, plan.nanoseconds, false,
         [&](char** data, const int64_t*, int64_t n) { kernel(data[0], data[1], n, plan.parameters); });
}

// Index of the dtype the kernel computes in for input `self`, or -1.
template <class Kernel>
int kernel_index(const Plan<Kernel>& plan, const Tensor& self) {
  const int index = dtype_index(self.scalar_type());
  if (is_floating_index(index)) return index;
  if (index >= 0 && plan.integer_row) return index;
  if (plan.promotes_integers && at::isIntegralType(self.scalar_type(), plan.promotes_booleans)) {
    return dtype_index(at::typeMetaToScalarType(at::get_default_dtype()));
  }
  return -1;
}

UnaryKernel kernel_at(const UnaryPlan& plan, int index) {
  return is_floating_index(index) ? plan.row[index] : plan.integer_row[index];
}

// ATen refuses numbers that the type it computes in cannot hold.
bool overflows(double number) { return std::isfinite(number) && std::abs(number) > std::numeric_limits<float>::max(); }

template <class Kernel>
bool decide(DecisionPoint& point, const Plan<Kernel>& plan, int index) {
  const Parameters& p = plan.parameters;
  if (!plan.row || (index != kFloat64 && (overflows(p.a) || overflows(p.b) || overflows(p.c)))) {
    return point.count(Decision::arguments);
  }
  return point.count(index < 0 ? Decision::dtype : Decision::taken);
}

}  // namespace

Tensor unary(DecisionPoint& point, const UnaryPlan& plan, const Tensor& self) {
  const int index = kernel_index(plan, self);
  if (!decide(point, plan, index)) return Tensor();
  const UnaryKernel kernel = kernel_at(plan, index);
  if (is_dense(self) && dtype_index(self.scalar_type()) == index) {
    Tensor result = empty_like_dense(self, self.scalar_type());
    const int64_t size = self.element_size(), n = self.numel();
    const char* in = static_cast<const char*>(self.const_data_ptr());
    write_result(
        result.data_ptr(), n, size, plan.nanoseconds, 2 * n * size,
        [&](char* to, int64_t begin, int64_t count) { kernel(to, in + begin * size, count, plan.parameters); });
    return result;
  }
  ResultIterator iterator;
  if (plan.promotes_integers) iterator.build_unary_float_op(Tensor(), self);
  else iterator.build_unary_op(Tensor(), self);
  run_unary(iterator, kernel, plan);
  return iterator.result();
}

bool unary_out(DecisionPoint& point, const UnaryPlan& plan, const Tensor& self, const Tensor& out) {
  // Some of ATen's out= operators compute first and copy then, others refuse: its choice.
  if (!out.is_same(self) && at::get_overlap_status(out, self) == at::MemOverlapStatus::Partial) {
    return point.count(Decision::layout);
  }
  const int index = kernel_index(plan, self);
  if (!decide(point, plan, index)) return false;
  const UnaryKernel kernel = kernel_at(plan, index);
  Tensor target = out;
  if (out.is_same(self) && is_dense(self) && dtype_index(self.scalar_type()) == index) {
    const int64_t size = self.element_size();
    char* data = static_cast<char*>(out.data_ptr());
    for_each_range(self.numel(), plan.nanoseconds, [&](int64_t begin, int64_t end) {
      kernel(data + begin * size, data + begin * size, end - begin, plan.parameters);
    });
    return true;
  }
  auto iterator = plan.promotes_integers ? at::TensorIterator::unary_float_op(target, self)
                                         : at::TensorIterator::unary_op(target, self);
  run_unary(iterator, kernel, plan);
  return true;
}

Tensor backward(DecisionPoint& point, const BackwardPlan& plan, const Tensor& grad_output, const Tensor& saved) {
  const int index = dtype_index(grad_output.scalar_type());
  if (!is_floating_index(index) || saved.scalar_type() != grad_output.scalar_type()) {
    point.count(plan.row ? Decision::dtype : Decision::arguments);
    return Tensor();
  }
  if (!decide(point, plan, index)) return Tensor();
  const BackwardKernel kernel = plan.row[index];
  if (same_dense_layout(grad_output, saved)) {
    Tensor result = empty_like_dense(grad_output, grad_output.scalar_type());
    const int64_t size = grad_output.element_size(), n = saved.numel();
    const char* grad = static_cast<const char*>(grad_output.const_data_ptr());
    const char* in = static_cast<const char*>(saved.const_data_ptr());
    write_result(result.data_ptr(), n, size, plan.nanoseconds, 3 * n * size,
                 [&](char* to, int64_t begin, int64_t count) {
                   kernel(to, grad + begin * size, in + begin * size, count, plan.parameters);
                 });
    return result;
  }
  // The first operand decides the strides of the result.
  const int grad = plan.saved_first ? 2 : 1, in = 3 - grad;
  ResultIterator iterator;
  iterator.build_binary_op(Tensor(), plan.saved_first ? saved : grad_output, plan.saved_first ? grad_output : saved);
  run<2>(iterator, plan.nanoseconds, false,
         [&](char** data, const int64_t*, int64_t n) { kernel(data[0], data[grad], data[in], n, plan.parameters); });
  return iterator.result();
}

void run_binary(at::TensorIteratorBase& iterator, BinaryKernel kernel, const Parameters& parameters,
                double nanoseconds) {
  run<2>(iterator, nanoseconds, true, [&](char** data, const int64_t* steps, int64_t n) {
    kernel(data[0], data[1], data[2], n, steps[1], steps[2], parameters);
  });
}

void run_with_scalar(at::TensorIteratorBase& iterator, BinaryKernel kernel, const void* number,
                     const Parameters& parameters, double nanoseconds) {
  run<1>(iterator, nanoseconds, false, [&](char** data, const int64_t*, int64_t n) {
    kernel(data[0], data[1], number, n, 1, kScalarStep, parameters);
  });
}

void run_ternary(at::TensorIteratorBase& iterator, TernaryKernel kernel, double nanoseconds) {
  run<3>(iterator, nanoseconds, true, [&](char** data, const int64_t* steps, int64_t n) {
    kernel(data[0], data[2], data[3], data[1], n, steps[2], steps[3], steps[1]);
  });
}

}  // namespace rusttorch
