// Arithmetic. One row per kernel: X(name, Functor). The list serves the table, the tests and the benches.
// fused_multiply_add exists for all six dtypes, any_zero for the integers.
#pragma once

// For all six dtypes.
#define RUSTTORCH_INTEGER_ARITHMETIC(X) \
  X(add, Add)                           \
  X(sub, Sub)                           \
  X(add_scaled, AddScaled)              \
  X(mul, Mul)                           \
  X(div_trunc, DivTrunc)                \
  X(div_floor, DivFloor)

// div is for the floating dtypes: the caller converts integers.
#define RUSTTORCH_ARITHMETIC(X)   \
  RUSTTORCH_INTEGER_ARITHMETIC(X) \
  X(div, Div)

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "map.h"

namespace rusttorch::RUSTTORCH_ISA {

// Four vectors in flight: 4 cycles of latency, 2 units for an add or a multiply, less for the loads and stores around.

template <class V>
struct Add {
  static constexpr int unroll = 4;
  explicit RUSTTORCH_INLINE Add(const Parameters&) {}
  RUSTTORCH_INLINE V apply(V a, V b) const { return a + b; }
};

template <class V>
struct Sub {
  static constexpr int unroll = 4;
  explicit RUSTTORCH_INLINE Sub(const Parameters&) {}
  RUSTTORCH_INLINE V apply(V a, V b) const { return a - b; }
};

// a + alpha * b. alpha is parameters.a for floating dtypes (rounded once, together with the sum) and
// parameters.integer for integers (modulo 2^32 or 2^64).
template <class V>
struct AddScaled {
  static constexpr int unroll = 4;
  V alpha;
  explicit RUSTTORCH_INLINE AddScaled(const Parameters& parameters) : alpha(read(parameters)) {}
  RUSTTORCH_INLINE V apply(V a, V b) const {
    if constexpr (std::is_floating_point_v<Lane<V>>) return fma(alpha, b, a);
    else return a + alpha * b;
  }

 private:
  static RUSTTORCH_INLINE V read(const Parameters& parameters) {
    if constexpr (std::is_floating_point_v<Lane<V>>) return V(Lane<V>(parameters.a));
    else return V(Lane<V>(parameters.integer));
  }
};

template <class V>
struct Mul {
  static constexpr int unroll = 4;
  explicit RUSTTORCH_INLINE Mul(const Parameters&) {}
  RUSTTORCH_INLINE V apply(V a, V b) const { return a * b; }
};

template <class V>
struct Div {
  static constexpr int unroll = 4;
  explicit RUSTTORCH_INLINE Div(const Parameters&) {}
  RUSTTORCH_INLINE V apply(V a, V b) const { return a / b; }
};

// a * b + c: rounded once (floating), wrapping (integers).
template <class V>
struct FusedMultiplyAdd {
  static constexpr int unroll = 4;
  explicit RUSTTORCH_INLINE FusedMultiplyAdd(const Parameters&) {}
  RUSTTORCH_INLINE V apply(V a, V b, V c) const {
    if constexpr (std::is_floating_point_v<Lane<V>>) return fma(a, b, c);
    else return a * b + c;
  }
};

// ---- division with rounding ----

// The float32 values of v, each rounded to the reduced precision T. Through memory: divisions hide it.
template <class T>
RUSTTORCH_INLINE Vec<float> rounded_to(Vec<float> v) {
  T lanes[Vec<float>::lanes];
  v.store(lanes);
  return Vec<float>::load(lanes);
}

// Quotient of 64-bit integers. There is no instruction for a vector of them. Below 2^51 in magnitude doubles hold both
// operands, and a rounded quotient reaches the next integer only if the exact one does: k - 1/|b| differs from k by at
// least |a|^-1 > 2^-53 of it. Otherwise lane by lane. A divisor of zero gives anything, without a trap.
template <bool floored>
RUSTTORCH_INLINE Vec<int64_t> divide_wide(Vec<int64_t> a, Vec<int64_t> b) {
  const Vec<int64_t> limit(int64_t(1) << 51), zero(0);
  if (all(shift_right<52>((a + limit) | (b + limit)) == zero)) {
    const Vec<double> quotient = to_double(a) / to_double(b);
    return to_int(floored ? floor(quotient) : trunc(quotient));
  }
  int64_t left[Vec<int64_t>::lanes], right[Vec<int64_t>::lanes];
  a.store(left);
  b.store(right);
  for (int k = 0; k < Vec<int64_t>::lanes; ++k) {
    const int64_t divisor = right[k];
    if (divisor == 0) {
      left[k] = 0;
    } else if (divisor == -1) {
      left[k] = int64_t(0 - uint64_t(left[k]));  // the smallest integer stays what it is
    } else {
      const int64_t quotient = left[k] / divisor, remainder = left[k] % divisor;
      left[k] = quotient - (floored && remainder != 0 && (remainder < 0) != (divisor < 0));
    }
  }
  return Vec<int64_t>::load(left);
}

template <class V>
struct DivTrunc {
  static constexpr int unroll = 1;
  explicit RUSTTORCH_INLINE DivTrunc(const Parameters&) {}
  RUSTTORCH_INLINE V apply(V a, V b) const {
    if constexpr (std::is_floating_point_v<Lane<V>>) return trunc(a / b);
    else if constexpr (sizeof(Lane<V>) == 4) return divide_trunc(a, b);
    else return divide_wide<false>(a, b);
  }
  // ATen rounds the quotient of two reduced-precision tensors before it cuts.
  template <class T>
  RUSTTORCH_INLINE V apply_as(V a, V b) const {
    return trunc(rounded_to<T>(a / b));
  }
};

// Remainders of the lanes whose quotient is too large for one fma.
template <class T>
__attribute__((noinline)) void remainder_of_lanes(T* a, const T* b, int lanes) {
  for (int k = 0; k < lanes; ++k) a[k] = std::fmod(a[k], b[k]);
}

// fmod(a, b): exact, with the sign of a. With |a/b| < 2^23 (2^52) the rounded quotient, cut, is the exact one or one more
// in magnitude; a - q*b is then a multiple of b's last bit no larger than |b|, so the fma has nothing to round. One more
// shows as a remainder of the wrong sign. Quotient 0 returns a (b may be infinite); NaN comes out of every NaN.
template <class V>
RUSTTORCH_INLINE V remainder(V a, V b) {
  using T = Lane<V>;
  const V quotient = a / b, zero(T(0));
  const Mask<T> large = (abs(quotient) >= V(sizeof(T) == 4 ? T(0x1p23) : T(0x1p52))) & (b != zero);
  if (__builtin_expect(any(large), 0)) {
    T left[V::lanes], right[V::lanes];
    a.store(left);
    b.store(right);
    remainder_of_lanes(left, right, V::lanes);
    return V::load(left);
  }
  const V whole = trunc(quotient);
  V rest = fnma(whole, b, a);
  rest = select(((rest < zero) ^ (a < zero)) & (rest != zero), rest + copysign(b, a), rest);
  return select(whole == zero, a, rest);
}

// Python's floor division as c10::div_floor_floating defines it: the quotient of (a - fmod(a, b)) by b, which is an
// integer but for rounding, moved down by one when remainder and divisor differ in sign, then set to the nearest
// integer. `round_step` is what happens to each intermediate result: nothing, or rounding to a reduced precision.
template <class V>
struct DivFloor {
  static constexpr int unroll = 1;
  explicit RUSTTORCH_INLINE DivFloor(const Parameters&) {}
  RUSTTORCH_INLINE V apply(V a, V b) const {
    if constexpr (std::is_floating_point_v<Lane<V>>) return floating<Lane<V>>(a, b);
    else if constexpr (sizeof(Lane<V>) == 4) return divide_floor(a, b);
    else return divide_wide<true>(a, b);
  }
  // ATen computes each step in the reduced precision when both operands are tensors.
  template <class T>
  RUSTTORCH_INLINE V apply_as(V a, V b) const {
    return floating<T>(a, b);
  }

 private:
  template <class T>
  static RUSTTORCH_INLINE V round_step(V v) {
    if constexpr (std::is_same_v<T, Lane<V>>) return v;
    else return rounded_to<T>(v);
  }
  template <class T>
  static RUSTTORCH_INLINE V floating(V a, V b) {
    using L = Lane<V>;
    const V zero(L(0)), one(L(1));
    const V rest = remainder(a, b);
    V quotient = round_step<T>(round_step<T>(a - rest) / b);
    quotient = select(((b < zero) ^ (rest < zero)) & (rest != zero), round_step<T>(quotient - one), quotient);
    V whole = floor(quotient);
    whole = select(quotient - whole > V(L(0.5)), round_step<T>(whole + one), whole);
    const V simple = a / b;
    whole = select(quotient == zero, copysign(zero, simple), whole);
    return select(b == zero, simple, whole);
  }
};

// ---- the check that comes before an integer division ----

template <class T>
struct AnyZeroBody {
  using V = Vec<T>;
  const T* b;
  Mask<T> found;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) {
    for (int k = 0; k < count; ++k) found = found | (V::load(b + i + k * V::lanes) == V(T(0)));
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) {
    found = found | (first_lanes<T>(n) & (V::load(b + i, n) == V(T(0))));
  }
};

// True when any of b[0, n) is zero: AnyZeroKernel of table.h.
template <class T>
bool any_zero(const void* b, int64_t n) {
  AnyZeroBody<T> body{static_cast<const T*>(b), first_lanes<T>(0)};
  for_each_vector<4, Vec<T>::lanes>(n, body);
  return any(body.found);
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
