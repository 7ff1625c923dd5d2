// The checks of vec_checks.h for the ISA of the open region. The references are plain C++, lane by lane.
#pragma once
#include "vec_checks.h"

namespace rusttorch::RUSTTORCH_ISA {

using test::Failures;

// Equal bits, any NaN for a NaN; `any_zero_sign` where the contract leaves the sign of zero open.
template <class T>
bool same(T got, T expected, bool any_zero_sign = false) {
  if (got != got || expected != expected) return got != got && expected != expected;
  if (any_zero_sign && got == 0 && expected == 0) return true;
  return std::memcmp(&got, &expected, sizeof(T)) == 0;
}

template <class T>
using Wide = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;

template <class T>
void report(Failures& failures, const char* what, int lane, T got, T expected, T a, T b, T c) {
  failures.add(what, lane, Wide<T>(got), Wide<T>(expected), Wide<T>(a), Wide<T>(b), Wide<T>(c));
}

// Operands: every special value, then bit patterns at random. Three independent walks make pairs and triples.
template <class T>
struct Operands;
template <>
struct Operands<float> {
  static constexpr float specials[] = {0.0f,
                                       -0.0f,
                                       1.0f,
                                       -1.0f,
                                       0.5f,
                                       1.5f,
                                       -1.5f,
                                       2.5f,
                                       -2.5f,
                                       3.0f,
                                       1e10f,
                                       -1e10f,
                                       0x1p-149f,
                                       -0x1p-149f,
                                       0x1.fffffcp-127f,
                                       0x1p-126f,
                                       0x1.fffffep127f,
                                       -0x1.fffffep127f,
                                       8388607.5f,
                                       8388609.0f,
                                       0x1.000002p0f,
                                       0.1f,
                                       -7.3f,
                                       HUGE_VALF,
                                       -HUGE_VALF,
                                       __builtin_nanf("")};
  using Bits = uint32_t;
};
template <>
struct Operands<double> {
  static constexpr double specials[] = {0.0,
                                        -0.0,
                                        1.0,
                                        -1.0,
                                        0.5,
                                        1.5,
                                        -1.5,
                                        2.5,
                                        -2.5,
                                        3.0,
                                        1e100,
                                        -1e100,
                                        0x1p-1074,
                                        -0x1p-1074,
                                        0x1.fffffffffffffp-1023,
                                        0x1p-1022,
                                        0x1.fffffffffffffp1023,
                                        -0x1.fffffffffffffp1023,
                                        4503599627370495.5,
                                        4503599627370497.0,
                                        0x1.0000000000001p0,
                                        0.1,
                                        -7.3,
                                        HUGE_VAL,
                                        -HUGE_VAL,
                                        __builtin_nan("")};
  using Bits = uint64_t;
};
template <>
struct Operands<int32_t> {
  static constexpr int32_t specials[] = {
      0, 1, -1, 2, -2, 7, -7, 65536, -65536, INT32_MAX, INT32_MIN, INT32_MAX - 1, INT32_MIN + 1};
  using Bits = uint32_t;
};
template <>
struct Operands<int64_t> {
  static constexpr int64_t specials[] = {0,
                                         1,
                                         -1,
                                         2,
                                         -2,
                                         7,
                                         -7,
                                         1LL << 32,
                                         -(1LL << 32),
                                         (1LL << 51) - 1,
                                         -(1LL << 51),
                                         INT64_MAX,
                                         INT64_MIN,
                                         INT64_MAX - 1,
                                         INT64_MIN + 1,
                                         0xffffffffLL};
  using Bits = uint64_t;
};

template <class T>
T operand(uint64_t index, int which) {
  constexpr uint64_t count = std::size(Operands<T>::specials);
  if (index < count * count * count) {
    for (int k = 0; k < which; ++k) index /= count;
    return Operands<T>::specials[index % count];
  }
  uint64_t state = index * 3 + which + 1;  // splitmix64
  state *= 0x9e3779b97f4a7c15;
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
  state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
  return std::bit_cast<T>(typename Operands<T>::Bits(state ^ (state >> 31)));
}

// Op::apply over vectors against Op::expected over numbers, for all operands.
template <class T, class Op>
void check_operation(Failures& failures) {
  constexpr int lanes = Vec<T>::lanes;
  constexpr uint64_t count = std::size(Operands<T>::specials), total = count * count * count + 20000;
  for (uint64_t index = 0; index < total; index += lanes) {
    T a[lanes], b[lanes], c[lanes], got[lanes];
    for (int k = 0; k < lanes; ++k) {
      a[k] = operand<T>(index + k, 0), b[k] = operand<T>(index + k, 1), c[k] = operand<T>(index + k, 2);
      if constexpr (requires { Op::limit(a[k], b[k], c[k]); }) Op::limit(a[k], b[k], c[k]);
    }
    Op::apply(Vec<T>::load(a), Vec<T>::load(b), Vec<T>::load(c)).store(got);
    for (int k = 0; k < lanes; ++k) {
      const T expected = Op::expected(a[k], b[k], c[k]);
      if (!same(got[k], expected, Op::any_zero_sign)) report(failures, Op::name, k, got[k], expected, a[k], b[k], c[k]);
    }
  }
}

// OPERATION(name, expression over vectors, expression over numbers of type T)
#define OPERATION_(name_, zero, vector, number)                                           \
  struct name_ {                                                                          \
    static constexpr const char* name = #name_;                                           \
    static constexpr bool any_zero_sign = zero;                                           \
    template <class V>                                                                    \
    static V apply([[maybe_unused]] V a, [[maybe_unused]] V b, [[maybe_unused]] V c) {    \
      return vector;                                                                      \
    }                                                                                     \
    template <class T>                                                                    \
    static T expected([[maybe_unused]] T a, [[maybe_unused]] T b, [[maybe_unused]] T c) { \
      using U [[maybe_unused]] = typename Operands<T>::Bits;                              \
      return T(number);                                                                   \
    }                                                                                     \
  };
#define OPERATION(name, vector, number) OPERATION_(name, false, vector, number)

template <class V>
V indicator(Mask<Lane<V>> mask) {
  return select(mask, V(Lane<V>(1)), V(Lane<V>(0)));
}

OPERATION(Broadcast_, V(Lane<V>(3)), T(3))
OPERATION(Plus, a + b, a + b)
OPERATION(Minus, a - b, a - b)
OPERATION(Times, a* b, a* b)
OPERATION(Over, a / b, a / b)
OPERATION(Negate, -a, -a)
OPERATION(WrapPlus, a + b, U(a) + U(b))
OPERATION(WrapMinus, a - b, U(a) - U(b))
OPERATION(WrapTimes, a* b, U(a) * U(b))
OPERATION(WrapNegate, -a, U(0) - U(a))
OPERATION(WrapAbs, abs(a), a < 0 ? U(0) - U(a) : U(a))
OPERATION(Fma, fma(a, b, c), std::fma(a, b, c))
OPERATION(Fnma, fnma(a, b, c), std::fma(-a, b, c))
OPERATION(Sqrt, sqrt(a), std::sqrt(a))
OPERATION(Abs, abs(a), std::fabs(a))
OPERATION(Copysign, copysign(a, b), std::copysign(a, b))
OPERATION(Round, round(a), std::nearbyint(a))
OPERATION(Floor, floor(a), std::floor(a))
OPERATION(Trunc, trunc(a), std::trunc(a))
OPERATION_(Minimum, true, minimum(a, b), a != a ? a : b != b ? b : a < b ? a : b)
OPERATION_(Maximum, true, maximum(a, b), a != a ? a : b != b ? b : a > b ? a : b)
OPERATION_(MinNumber, true, min_number(a, b), a < b ? a : b)
OPERATION_(MaxNumber, true, max_number(a, b), a > b ? a : b)
OPERATION(Less, indicator<V>(a < b), a < b)
OPERATION(LessEqual, indicator<V>(a <= b), a <= b)
OPERATION(Greater, indicator<V>(a > b), a > b)
OPERATION(GreaterEqual, indicator<V>(a >= b), a >= b)
OPERATION(Equal, indicator<V>(a == b), a == b)
OPERATION(NotEqual, indicator<V>(a != b), a != b)
OPERATION(MaskAnd, indicator<V>((a < b) & (b < c)), (a < b) && (b < c))
OPERATION(MaskOr, indicator<V>((a < b) | (b < c)), (a < b) || (b < c))
OPERATION(MaskXor, indicator<V>((a < b) ^ (b < c)), (a < b) != (b < c))
OPERATION(MaskNot, indicator<V>(~(a < b)), !(a < b))
OPERATION(IsNan, indicator<V>(is_nan(a)), a != a)
OPERATION(EitherIsNan, indicator<V>(either_is_nan(a, b)), a != a || b != b)
OPERATION(Select, select(a < b, b, c), a < b ? b : c)
OPERATION(And, a& b, a& b)
OPERATION(Or, a | b, a | b)
OPERATION(Xor, a ^ b, a ^ b)
OPERATION(Not, ~a, ~a)
OPERATION(ShiftLeft, shift_left<5>(a), U(a) << 5)
OPERATION(ShiftRight, shift_right<23>(a), U(a) >> 23)
OPERATION(ShiftRightArithmetic, shift_right_arithmetic<7>(a), a >> 7)
OPERATION(Bits, from_bits(bits(a)), a)
OPERATION(DivideTrunc, divide_trunc(a, b), a == INT32_MIN && b == -1 ? a : a / b)
OPERATION(DivideFloor, divide_floor(a, b), std::floor(double(a) / b) == 2147483648.0 ? a : std::floor(double(a) / b))

// Operations with a limited domain.
struct ScaleFloat {
  static constexpr const char* name = "scale";
  static constexpr bool any_zero_sign = false;
  template <class T>
  static void limit(T& v, T& n, T& unused) {
    constexpr int range = sizeof(T) == 4 ? 300 : 2200;
    uint64_t word = 0;
    std::memcpy(&word, &n, sizeof n);
    n = T(int64_t((word * 0x9e3779b97f4a7c15) >> 33) % (2 * range + 1) - range);
    unused = T(0);
    // Half of the values near 2^-n 2^-126: results that become denormal, where a second rounding would show.
    if (word & 1) v = std::scalbn(T(1) + std::fabs(std::fmod(v, T(1))), int(-n) + (sizeof(T) == 4 ? -130 : -1030));
  }
  template <class V>
  static V apply(V v, V n, V) {
    return scale(v, n);
  }
  template <class T>
  static T expected(T v, T n, T) {
    return std::scalbn(v, int(n));
  }
};
struct ToInteger {
  static constexpr const char* name = "to_int and to_float/to_double";
  static constexpr bool any_zero_sign = true;
  template <class T>
  static void limit(T& v, T&, T&) {
    constexpr T bound = sizeof(T) == 4 ? T(0x1p24) : T(0x1p51);
    if (!(std::fabs(v) < bound)) v = T(int64_t(std::bit_cast<typename Operands<T>::Bits>(v)) % 4096) / 2;
  }
  static Vec<float> apply(Vec<float> v, Vec<float>, Vec<float>) { return to_float(to_int(v)); }
  static Vec<double> apply(Vec<double> v, Vec<double>, Vec<double>) { return to_double(to_int(v)); }
  template <class T>
  static T expected(T v, T, T) {
    return std::nearbyint(v);
  }
};
struct NonZeroDivisor {
  template <class T>
  static void limit(T&, T& b, T&) {
    if (b == 0) b = 1;
  }
};
struct DivideTruncInteger : DivideTrunc, NonZeroDivisor {};
struct DivideFloorInteger : DivideFloor, NonZeroDivisor {};

template <class T>
void check_common(Failures& failures) {
  check_operation<T, Broadcast_>(failures);
  check_operation<T, Minimum>(failures);
  check_operation<T, Maximum>(failures);
  check_operation<T, MinNumber>(failures);
  check_operation<T, MaxNumber>(failures);
  check_operation<T, Less>(failures);
  check_operation<T, LessEqual>(failures);
  check_operation<T, Greater>(failures);
  check_operation<T, GreaterEqual>(failures);
  check_operation<T, Equal>(failures);
  check_operation<T, NotEqual>(failures);
  check_operation<T, MaskAnd>(failures);
  check_operation<T, MaskOr>(failures);
  check_operation<T, MaskXor>(failures);
  check_operation<T, MaskNot>(failures);
  check_operation<T, Select>(failures);
}
template <class T>
void check_floating(Failures& failures) {
  check_common<T>(failures);
  check_operation<T, Plus>(failures);
  check_operation<T, Minus>(failures);
  check_operation<T, Times>(failures);
  check_operation<T, Over>(failures);
  check_operation<T, Negate>(failures);
  check_operation<T, Fma>(failures);
  check_operation<T, Fnma>(failures);
  check_operation<T, Sqrt>(failures);
  check_operation<T, Abs>(failures);
  check_operation<T, Copysign>(failures);
  check_operation<T, Round>(failures);
  check_operation<T, Floor>(failures);
  check_operation<T, Trunc>(failures);
  check_operation<T, IsNan>(failures);
  check_operation<T, EitherIsNan>(failures);
  check_operation<T, Bits>(failures);
  check_operation<T, ScaleFloat>(failures);
  check_operation<T, ToInteger>(failures);
}
template <class T>
void check_integer(Failures& failures) {
  check_common<T>(failures);
  check_operation<T, WrapPlus>(failures);
  check_operation<T, WrapMinus>(failures);
  check_operation<T, WrapTimes>(failures);
  check_operation<T, WrapNegate>(failures);
  check_operation<T, WrapAbs>(failures);
  check_operation<T, And>(failures);
  check_operation<T, Or>(failures);
  check_operation<T, Xor>(failures);
  check_operation<T, Not>(failures);
  check_operation<T, ShiftLeft>(failures);
  check_operation<T, ShiftRight>(failures);
  check_operation<T, ShiftRightArithmetic>(failures);
}
void check_division(Failures& failures) {
  check_operation<int32_t, DivideTruncInteger>(failures);
  check_operation<int32_t, DivideFloorInteger>(failures);
  int32_t lanes[Vec<int32_t>::lanes];  // no trap
  divide_trunc(Vec<int32_t>(5), Vec<int32_t>(0)).store(lanes);
  divide_floor(Vec<int32_t>(INT32_MIN), Vec<int32_t>(0)).store(lanes);
}

}  // namespace rusttorch::RUSTTORCH_ISA

#include "vec_checks_lanes.h"
