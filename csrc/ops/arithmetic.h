// One normal form for every overload of add, sub, mul and div, so that the decisions are written once.
#pragma once
#include <c10/core/Scalar.h>

#include <optional>
#include <string_view>

#include "common.h"

namespace rusttorch {

enum class Arithmetic { add, sub, mul, div };

struct BinaryCall {
  Arithmetic operation;
  const Tensor* self = nullptr;
  const Tensor* other = nullptr;         // one of these two
  const Scalar* other_scalar = nullptr;  //
  const Scalar* alpha = nullptr;         // add and sub only; null means 1
  std::optional<std::string_view> rounding_mode;
  Tensor* out = nullptr;  // in-place: the same tensor as self
};

// The arguments of a schema, in order, fall into their places by type.
template <class Arg>
void take(BinaryCall& call, Arg argument) {
  using Bare = std::remove_cvref_t<Arg>;
  if constexpr (std::is_same_v<Arg, Tensor&>) {
    call.out = &argument;
    if (!call.self) call.self = &argument;
  } else if constexpr (std::is_same_v<Bare, Tensor>) {
    (call.self ? call.other : call.self) = &argument;
  } else if constexpr (std::is_same_v<Bare, Scalar>) {
    (call.other || call.other_scalar ? call.alpha : call.other_scalar) = &argument;
  } else {
    static_assert(std::is_same_v<Bare, std::optional<std::string_view>>);
    call.rounding_mode = argument;
  }
}

// Runs the call if it is ours: the result is in *call.out, or in `result` when there is no out. False: nothing was
// touched, ATen decides. Raises where torch would crash or has written half of the result (integer division by zero).
bool run(const BinaryCall& call, Tensor& result);

}  // namespace rusttorch
