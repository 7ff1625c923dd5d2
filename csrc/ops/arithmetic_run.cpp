// The decisions behind add, sub, mul and div: dtype, kernel, layout.
#include "torch_headers.h"

#include <ATen/MemoryOverlap.h>
#include <ATen/ScalarOps.h>
#include <ATen/ops/result_type.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "arithmetic.h"
#include "elementwise.h"
#include "result_iterator.h"

namespace rusttorch {
namespace {

// Nanoseconds per float32 element on one AVX2 core: three streams through the caches.
constexpr double kCost = 0.1;

DecisionPoint& point(Arithmetic operation) {
  static DecisionPoint* const points[] = {new DecisionPoint("add"), new DecisionPoint("sub"), new DecisionPoint("mul"),
                                          new DecisionPoint("div")};
  return *points[static_cast<int>(operation)];
}

bool is_integer_index(int index) { return index >= kFloatingDtypes; }

// torch's promotion; the common cases without the dispatcher (0.3 us).
at::ScalarType promoted_type(const BinaryCall& call) {
  const at::ScalarType own = call.self->scalar_type();
  if (call.other) return call.other->scalar_type() == own ? own : at::result_type(*call.self, *call.other);
  const bool floating = at::isFloatingType(own), integral = at::isIntegralType(own, false);
  if ((floating && !call.other_scalar->isComplex()) || (integral && call.other_scalar->isIntegral(true))) return own;
  return at::result_type(*call.self, *call.other_scalar);
}

at::ScalarType result_type(const BinaryCall& call) {
  at::ScalarType type = promoted_type(call);
  const bool true_division = call.operation == Arithmetic::div && !call.rounding_mode;
  if (true_division && at::isIntegralType(type, /*includeBool=*/true)) {
    type = at::typeMetaToScalarType(at::get_default_dtype());
  }
  return type;
}

bool alpha_is_one(const BinaryCall& call) { return !call.alpha || call.alpha->equal(1); }

// A number as ATen rounds it before adding it: to the dtype, whereas a factor keeps float32 precision.
double rounded(double number, int index) {
  if (index == kBFloat16) return static_cast<c10::BFloat16>(static_cast<float>(number));
  if (index == kFloat16) return static_cast<c10::Half>(static_cast<float>(number));
  return number;
}

bool overflows(double number, int index) {
  if (index == kFloat64 || !std::isfinite(number)) return false;
  float largest = std::numeric_limits<float>::max();
  if (index == kBFloat16) largest = std::numeric_limits<c10::BFloat16>::max();
  if (index == kFloat16) largest = std::numeric_limits<c10::Half>::max();
  return std::abs(number) > largest;
}

// ATen refuses a floating alpha for integers, complex and boolean ones, and those that overflow.
bool alpha_is_valid(const BinaryCall& call, int index) {
  if (!call.alpha) return true;
  if (is_integer_index(index)) {
    return call.alpha->isIntegral(false) &&
           (index == kInt64 || call.alpha->toLong() == static_cast<int32_t>(call.alpha->toLong()));
  }
  return (call.alpha->isIntegral(false) || call.alpha->isFloatingPoint()) && !overflows(call.alpha->toDouble(), index);
}

// Neither does it subtract booleans.
bool subtracts_booleans(const BinaryCall& call) {
  if (call.operation != Arithmetic::sub) return false;
  return call.self->scalar_type() == at::kBool ||
         (call.other ? call.other->scalar_type() == at::kBool : call.other_scalar->isBoolean());
}

struct Chosen {
  const BinaryKernel* row = nullptr;
  Parameters parameters;
};

Chosen choose(const BinaryCall& call, int index) {
  const KernelTable& table = kernels();
  switch (call.operation) {
    case Arithmetic::mul: return {table.mul, {}};
    case Arithmetic::div:
      if (!call.rounding_mode) return {table.div, {}};
      if (*call.rounding_mode == "trunc") return {table.div_trunc, {}};
      if (*call.rounding_mode == "floor") return {table.div_floor, {}};
      return {};
    default: break;
  }
  const bool subtract = call.operation == Arithmetic::sub;
  if (alpha_is_one(call)) return {subtract ? table.sub : table.add, {}};
  Parameters parameters;
  const double factor = rounded(call.alpha->toDouble(), index);
  parameters.a = subtract ? -factor : factor;
  if (call.alpha->isIntegral(false)) {
    const auto alpha = static_cast<uint64_t>(call.alpha->toLong());  // wraps, as the sum does
    parameters.integer = static_cast<int64_t>(subtract ? 0 - alpha : alpha);
  }
  return {table.add_scaled, parameters};
}

// The second operand when it is one number: a Scalar, or a tensor of one element that adds no dimension.
std::optional<Scalar> scalar_operand(const BinaryCall& call) {
  if (call.other_scalar) return *call.other_scalar;
  if (call.other->numel() == 1 && call.other->dim() <= call.self->dim() && call.other->is_cpu())
    return call.other->item();
  return std::nullopt;
}

// A number in the type the kernel computes in, behind the pointer that kScalarStep stands for.
struct Number {
  explicit Number(const Scalar& scalar, int index, bool is_factor) {
    switch (index) {
      case kFloat64: value.float64 = scalar.toDouble(); break;
      case kInt32: value.int32 = static_cast<int32_t>(scalar.toLong()); break;
      case kInt64: value.int64 = scalar.toLong(); break;
      default: value.float32 = static_cast<float>(is_factor ? scalar.toDouble() : rounded(scalar.toDouble(), index));
    }
  }
  union {
    float float32;
    double float64;
    int32_t int32;
    int64_t int64;
  } value;
};

// Whether `number` is exact enough to be handed over as such; anything else takes the general path.
bool fits(const Scalar& number, int index) {
  return is_integer_index(index) ? number.isIntegral(true) : !number.isComplex();
}

bool divides_by_zero(const BinaryCall& call, at::ScalarType type, int index) {
  if (call.self->numel() == 0) return false;
  if (call.other_scalar) {
    const int64_t divisor = call.other_scalar->toLong();
    return (index == kInt32 ? static_cast<int32_t>(divisor) : divisor) == 0;  // wraps, as in torch
  }
  const Tensor divisor = call.other->to(type).contiguous();
  return kernels().any_zero[index](divisor.const_data_ptr(), divisor.numel());
}

// In place, with an operand in the same storage: TensorIterator knows which of these torch refuses.
bool may_overlap(const BinaryCall& call) { return call.out && call.other->is_alias_of(*call.out); }

// TensorIterator's own checks, for the ways around it.
void refuse_overlap(const BinaryCall& call) {
  at::assert_no_internal_overlap(*call.out);
  if (!call.out->is_same(*call.self)) at::assert_no_partial_overlap(*call.out, *call.self);
  if (call.other) at::assert_no_partial_overlap(*call.out, *call.other);
}

// Dense, with elements, and without a dimension of one element whose stride in the result would be TensorIterator's choice.
bool has_plain_strides(const Tensor& self) {
  if (self.numel() == 0) return false;
  if (!self.is_contiguous()) {
    return self.is_non_overlapping_and_dense() &&
           std::find(self.sizes().begin(), self.sizes().end(), 1) == self.sizes().end();
  }
  int64_t expected = 1;
  for (int64_t i = self.dim(); i-- > 0; expected *= self.size(i)) {
    if (self.stride(i) != expected) return false;
  }
  return true;
}

bool flat(const BinaryCall& call, at::ScalarType type) {
  return call.other && call.self->scalar_type() == type && call.other->scalar_type() == type &&
         same_dense_layout(*call.self, *call.other) && (!call.out || call.out == call.self) && !may_overlap(call);
}

void run_flat(const BinaryCall& call, BinaryKernel kernel, const Parameters& parameters, Tensor& result) {
  if (!call.out) result = empty_like_dense(*call.self, call.self->scalar_type());
  const int64_t size = call.self->element_size(), n = call.self->numel();
  void* out = (call.out ? *call.out : result).data_ptr();
  const char* a = static_cast<const char*>(call.self->const_data_ptr());
  const char* b = static_cast<const char*>(call.other->const_data_ptr());
  write_result(out, n, size, kCost, call.out ? 0 : 3 * n * size, [&](char* to, int64_t begin, int64_t count) {
    kernel(to, a + begin * size, b + begin * size, count, 1, 1, parameters);
  });
}

// `self` as [rows][columns], `other` one row for all or one element per row: a bias, a scale per channel.
struct Broadcast {
  int64_t rows = 0, columns = 0;
  int64_t row_step = 0, column_step = 0;  // of `other`, in elements
};

// The two plain forms of broadcasting `other` over a contiguous `self`, which need no TensorIterator (1 us).
std::optional<Broadcast> plain_broadcast(const BinaryCall& call, at::ScalarType type) {
  if (!call.other || (call.out && call.out != call.self) || may_overlap(call)) return std::nullopt;
  const Tensor &self = *call.self, &other = *call.other;
  if (self.scalar_type() != type || other.scalar_type() != type || other.dim() > self.dim() || !self.is_contiguous() ||
      !has_plain_strides(self) || !other.is_contiguous()) {
    return std::nullopt;
  }
  // Walk from the innermost dimension: first where `other` has all of `self` (or 1), then where it has 1 (or all).
  const int64_t dims = self.dim(), missing = dims - other.dim();
  const auto own = [&](int64_t i) { return self.size(i); };
  const auto others = [&](int64_t i) { return i < missing ? 1 : other.size(i - missing); };
  for (const bool row : {true, false}) {
    int64_t i = dims, columns = 1, rows = 1;
    for (; i > 0 && others(i - 1) == (row ? own(i - 1) : 1); --i) columns *= own(i - 1);
    for (; i > 0 && others(i - 1) == (row ? 1 : own(i - 1)); --i) rows *= own(i - 1);
    if (i == 0 && columns > 1) return Broadcast{rows, columns, row ? 0 : 1, row ? 1 : 0};
  }
  return std::nullopt;
}

void run_broadcast(const BinaryCall& call, const Broadcast& shape, BinaryKernel kernel, const Parameters& parameters,
                   Tensor& result) {
  if (!call.out) result = empty_like_dense(*call.self, call.self->scalar_type());
  const int64_t size = call.self->element_size(), columns = shape.columns;
  char* out = static_cast<char*>((call.out ? *call.out : result).data_ptr());
  const char* a = static_cast<const char*>(call.self->const_data_ptr());
  const char* b = static_cast<const char*>(call.other->const_data_ptr());
  // A row of a few lines would go out in pieces: not those.
  const bool streams = !call.out && columns * size >= 512 && 2 * shape.rows * columns * size > streaming_threshold();
  const auto compute = [&](char* to, int64_t row, int64_t column, int64_t count) {
    kernel(to, a + (row * columns + column) * size, b + (row * shape.row_step + column * shape.column_step) * size,
           count, 1, shape.column_step, parameters);
  };
  for_each_range(shape.rows, kCost * static_cast<double>(columns), [&](int64_t begin, int64_t end) {
    if (!streams) {  // apart: through write_range, whose buffer is on the stack, (256, 256) takes 7.5 us instead of 6.0
      for (int64_t row = begin; row < end; ++row) compute(out + row * columns * size, row, 0, columns);
      return;
    }
    for (int64_t row = begin; row < end; ++row) {
      write_range(out + row * columns * size, 0, columns, size, true,
                  [&](char* to, int64_t column, int64_t count) { compute(to, row, column, count); });
    }
    stream_end();
  });
}

Tensor wrapped_number(const Scalar& number) {
  Tensor tensor = c10::scalar_to_tensor(number);
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  return tensor;
}

void run_with_number(const BinaryCall& call, BinaryKernel kernel, const Parameters& parameters, const Number& number,
                     Tensor& result) {
  const Tensor& self = *call.self;
  if (call.out == call.self ? is_dense(self) : !call.out && has_plain_strides(self)) {
    if (!call.out) result = empty_like_dense(self, self.scalar_type());
    const int64_t size = self.element_size(), n = self.numel();
    void* out = (call.out ? *call.out : result).data_ptr();
    const char* in = static_cast<const char*>(self.const_data_ptr());
    write_result(out, n, size, kCost, call.out ? 0 : 2 * n * size, [&](char* to, int64_t begin, int64_t count) {
      kernel(to, in + begin * size, &number.value, count, 1, kScalarStep, parameters);
    });
    return;
  }
  const auto run = [&](auto&& iterator, const Tensor& out) {
    iterator.build_unary_op(out, self);
    run_with_scalar(iterator, kernel, &number.value, parameters, kCost);
  };
  if (call.out) return run(at::TensorIterator(), *call.out);
  if (std::find(self.sizes().begin(), self.sizes().end(), 1) != self.sizes().end()) {
    // The strides of dimensions of one element depend on whether there is a second operand.
    ResultIterator form;
    form.build_binary_op(Tensor(), self, wrapped_number(0));
    result = form.result();
    return run(at::TensorIterator(), result);
  }
  ResultIterator iterator;
  run(iterator, Tensor());
  result = iterator.result();
}

}  // namespace

bool run(const BinaryCall& call, Tensor& result) {
  DecisionPoint& decisions = point(call.operation);
  const at::ScalarType type = result_type(call);
  const int index = dtype_index(type);
  if (index < 0) return decisions.count(Decision::dtype);
  const Chosen chosen = choose(call, index);
  if (call.other_scalar && call.other_scalar->type() == at::kUInt64) return decisions.count(Decision::arguments);
  if (!chosen.row || !alpha_is_valid(call, index) || subtracts_booleans(call))
    return decisions.count(Decision::arguments);
  if (call.out) refuse_overlap(call);
  if (call.rounding_mode && is_integer_index(index) && divides_by_zero(call, type, index)) {
    if (patch::current_counts) return decisions.count(Decision::arguments);  // torch's own words
    // torch raises in the middle of the loop; here nothing has been written.
    TORCH_CHECK(false, "ZeroDivisionError: div(): expected non-zero integer divisors, got a zero");
  }
  decisions.count(Decision::taken);
  // First, because a number is not rounded to a reduced precision, as a tensor of one element is not in ATen.
  const auto number = scalar_operand(call);
  if (number && call.self->numel() > 0 && call.self->scalar_type() == type && fits(*number, index) &&
      (!call.out || call.out->scalar_type() == type)) {
    const bool is_factor = call.operation == Arithmetic::mul || call.operation == Arithmetic::div;
    run_with_number(call, chosen.row[index], chosen.parameters, Number(*number, index, is_factor), result);
    return true;
  }
  if (flat(call, type)) {
    run_flat(call, chosen.row[index], chosen.parameters, result);
    return true;
  }
  if (const auto shape = plain_broadcast(call, type)) {
    run_broadcast(call, *shape, chosen.row[index], chosen.parameters, result);
    return true;
  }
  Tensor other = call.other ? *call.other : Tensor();
  if (call.other_scalar) other = wrapped_number(*call.other_scalar);
  const auto run = [&](auto&& iterator, const Tensor& out) {
    const bool true_division = call.operation == Arithmetic::div && !call.rounding_mode;
    if (true_division) iterator.build_borrowing_binary_float_op(out, *call.self, other);
    else iterator.build_borrowing_binary_op(out, *call.self, other);
    run_binary(iterator, chosen.row[index], chosen.parameters, kCost);
  };
  if (call.out) {
    run(at::TensorIterator(), *call.out);
  } else {
    ResultIterator iterator;
    run(iterator, iterator.result());
    result = iterator.result();
  }
  return true;
}

}  // namespace rusttorch
