// exp log log1p expm1 tanh erf sigmoid and the normal distribution over Vec<double>, by polynomials: no tables, so the
// same code and the same bits on every ISA. The coefficients were found with sollya (fpminimax). The figures are
// distances to the exact value in ULP; tests/cpp/double_functions.h repeats them, for test_math_double.cpp.
#pragma once
#include "vec.h"

#ifdef RUSTTORCH_ISA
namespace rusttorch::RUSTTORCH_ISA {

// c[0] + c[1] x + ... The even and the odd half are two Horner chains, so they overlap.
template <int count>
RUSTTORCH_INLINE Vec<double> polynomial(Vec<double> x, const double (&c)[count]) {
  const Vec<double> square = x * x;
  Vec<double> low(c[count - 2]), high(c[count - 1]);
#pragma GCC unroll 32
  for (int i = count - 3; i > 0; i -= 2) {
    high = fma(high, square, Vec<double>(c[i]));
    low = fma(low, square, Vec<double>(c[i - 1]));
  }
  if constexpr (count % 2 == 0) return fma(high, x, low);
  return fma(low, x, fma(high, square, Vec<double>(c[0])));
}

// x = n ln2 + high - low, |high - low| <= 0.3467: n is integer-valued, and `shifted` holds it in its lowest bits, plus
// 1023. |x| < 2^20. ln2 is cut after 32 bits, so that n * ln2 and high are exact.
struct ReducedDouble {
  Vec<double> n, shifted, high, low;
};
RUSTTORCH_INLINE ReducedDouble reduce_by_ln2(Vec<double> x) {
  const Vec<double> magic(0x1.8p52 + 1023);
  ReducedDouble reduced;
  reduced.shifted = fma(x, Vec<double>(0x1.71547652b82fep0), magic);
  reduced.n = reduced.shifted - magic;
  reduced.high = fnma(reduced.n, Vec<double>(0x1.62e42feep-1), x);
  reduced.low = reduced.n * Vec<double>(0x1.a39ef35793c76p-33);
  return reduced;
}

// 2^n for `shifted` = 1.5 * 2^52 + 1023 + n, n in [-1022, 1023].
RUSTTORCH_INLINE Vec<double> power_from_shifted(Vec<double> shifted) {
  return from_bits(shift_left<52>(bits(shifted)));
}

// exp(high - low) - 1 = high + (r^2 q(r) - low), r = high - low, |r| <= 0.347. Taking the exact high in last hides the
// rounding of r. The polynomial is within 0.04 * 2^-53 of exp.
RUSTTORCH_INLINE Vec<double> exp_reduced_minus_1(Vec<double> high, Vec<double> low) {
  constexpr double c[] = {0x1.000000000000cp-1,  0x1.5555555555518p-3,  0x1.555555554fe53p-5,  0x1.1111111120592p-7,
                          0x1.6c16c185f07b1p-10, 0x1.a01a0151c634ep-13, 0x1.a01995fcad5cdp-16, 0x1.71dece4051f31p-19,
                          0x1.28b0b9b8e4a0cp-22, 0x1.ae080a6401a89p-26};
  const Vec<double> r = high - low;
  return high + fma(r * r, polynomial(r, c), -low);
}

// 2^shift exp(x) for x in (-inf, 708 - shift ln2]: what lies below exp's range keeps its digits; 0 from exp_zero on.
// <= 0.9 ULP of the shifted value. -inf -> 0, NaN -> NaN.
constexpr double exp_zero_double(int shift) { return -(1023 + shift) * 0.69314718055994531; }
template <int shift>
RUSTTORCH_INLINE Vec<double> exp_shifted(Vec<double> x) {
  const ReducedDouble reduced = reduce_by_ln2(max_number(Vec<double>(exp_zero_double(shift)), x));
  const Vec<double> power = power_from_shifted(reduced.shifted + Vec<double>(shift));
  return fma(exp_reduced_minus_1(reduced.high, reduced.low), power, power);
}

// exp(x). <= 0.9 ULP, for every x; subnormal results are rounded once more. inf -> inf, -inf -> 0, NaN -> NaN.
RUSTTORCH_INLINE Vec<double> exp(Vec<double> x) {
  const Vec<double> inside = min_number(Vec<double>(710.0), max_number(Vec<double>(-746.0), x));
  const Vec<double> magic(0x1.8p52 + 2046);
  // 2^n is made of 2^floor(n/2) and 2^ceil(n/2), of which either is normal. 2046 is twice the bias of the exponent.
  const Vec<double> shifted = fma(inside, Vec<double>(0x1.71547652b82fep0), magic);
  const Vec<double> n = shifted - magic;
  const Vec<double> high = fnma(n, Vec<double>(0x1.62e42feep-1), inside), low = n * Vec<double>(0x1.a39ef35793c76p-33);
  const Vec<int64_t> word = bits(shifted);
  const Vec<double> half = from_bits(shift_left<52>(shift_right<1>(word)));
  const Vec<double> rest = from_bits(shift_left<52>(shift_right<1>(word + Vec<int64_t>(1))));
  return (Vec<double>(1.0) + exp_reduced_minus_1(high, low)) * half * rest;
}

// exp(r) - 1 for r = high - low, less high: high is exact, and this correction to it is small.
RUSTTORCH_INLINE Vec<double> expm1_correction(const ReducedDouble& reduced) {
  constexpr double c[] = {0x1.5555555555559p-3,  0x1.555555555554dp-5,  0x1.111111110f652p-7,  0x1.6c16c16c1ab31p-10,
                          0x1.a01a01b00563p-13,  0x1.a01a018df31cfp-16, 0x1.71ddf80922f8ep-19, 0x1.27e51387921a5p-22,
                          0x1.af5f397bcffd8p-26, 0x1.1f19ab25c035bp-29};
  const Vec<double> r = reduced.high - reduced.low;
  const Vec<double> square = r * r;
  return fma(square, fma(r, polynomial(r, c), Vec<double>(0.5)), -reduced.low);
}

// exp(x) - 1. <= 1.3 ULP, for every x. Keeps the sign of zero; inf -> inf, -inf -> -1, NaN -> NaN.
RUSTTORCH_INLINE Vec<double> expm1(Vec<double> x) {
  const Vec<double> inside = min_number(Vec<double>(710.0), max_number(Vec<double>(-50.0), x));
  const ReducedDouble reduced = reduce_by_ln2(inside);
  const Vec<double> correction = expm1_correction(reduced);
  // 2^n (1 + high + correction) - 1, with 2^(n-1) in place of 2^n, which overflows for n = 1024.
  const Vec<double> half = power_from_shifted(reduced.shifted - Vec<double>(1.0));
  const Vec<double> sum = fma(half, correction, fma(half, reduced.high, half - Vec<double>(0.5)));
  return select(abs(x) < Vec<double>(0x1p-54), x, sum + sum);
}

// x = 2^e m, m in [sqrt(1/2), sqrt(2)), for normal x > 0.
struct SplitDouble {
  Vec<double> e, m;
};
RUSTTORCH_INLINE SplitDouble split(Vec<double> x) {
  // Adding the distance from sqrt(1/2) to 1 carries into the exponent exactly when the mantissa is sqrt(2) or more.
  const Vec<int64_t> word = bits(x) + Vec<int64_t>(0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
  const Vec<int64_t> exponent = shift_right<52>(word) | Vec<int64_t>(0x4338000000000000);  // 1.5 * 2^52
  SplitDouble parts;
  parts.e = from_bits(exponent) - Vec<double>(0x1.8p52 + 1023);
  parts.m = from_bits((word & Vec<int64_t>(0x000fffffffffffff)) + Vec<int64_t>(0x3fe6a09e667f3bcd));
  return parts;
}

// e ln2 + log(1 + f) + tail for |tail| far below the rest and f in [-0.293, 0.415]. With s = f/(2+f),
// log(1+f) = 2s + 2s^3/3 + ... = f - (f^2/2 - s (f^2/2 + s^2 R(s^2))).
RUSTTORCH_INLINE Vec<double> log_parts(Vec<double> e, Vec<double> f, Vec<double> tail) {
  constexpr double c[] = {0x1.5555555555558p-1, 0x1.9999999995303p-2, 0x1.2492492df3035p-2, 0x1.c71c62e0b72cbp-3,
                          0x1.7462b661a6653p-3, 0x1.39fe212aeaa5fp-3, 0x1.2b5b8533b4fa9p-3};
  const Vec<double> s = f / (Vec<double>(2.0) + f);
  const Vec<double> square = s * s;
  const Vec<double> half_square = Vec<double>(0.5) * f * f;
  const Vec<double> inner = fma(square, polynomial(square, c), half_square);
  const Vec<double> low = fma(s, inner, fma(e, Vec<double>(0x1.a39ef35793c76p-33), tail));
  return fma(e, Vec<double>(0x1.62e42feep-1), f - (half_square - low));
}

// log(x). <= 0.9 ULP, for every x, subnormals included. +-0 -> -inf, x < 0 -> NaN, inf -> inf, NaN -> NaN.
RUSTTORCH_INLINE Vec<double> log(Vec<double> x) {
  const Mask<double> tiny = x < Vec<double>(0x1p-1022);
  const SplitDouble parts = split(select(tiny, x * Vec<double>(0x1p54), x));
  const Vec<double> e = select(tiny, parts.e - Vec<double>(54.0), parts.e);
  const Vec<double> result = log_parts(e, parts.m - Vec<double>(1.0), Vec<double>(0.0));
  const Vec<double> infinity(std::numeric_limits<double>::infinity()), nan(std::numeric_limits<double>::quiet_NaN());
  const Vec<double> outside = select(x == Vec<double>(0.0), -infinity, select(x < Vec<double>(0.0), nan, x));
  return select((x > Vec<double>(0.0)) & (x < infinity), result, outside);
}

// log(1 + x). <= 1.1 ULP, for every x. Keeps the sign of zero; -1 -> -inf, x < -1 -> NaN, inf -> inf, NaN -> NaN.
RUSTTORCH_INLINE Vec<double> log1p(Vec<double> x) {
  const Vec<double> one(1.0);
  const Vec<double> u = one + x;
  // x and 1 give u and what its rounding lost; log(u + lost) = log(u) + lost/u.
  const Vec<double> back = u - one;
  const Vec<double> lost = (one - (u - back)) + (x - back);
  const SplitDouble parts = split(u);
  const Mask<double> near = parts.e == Vec<double>(0.0);  // here f = x itself, nothing is lost
  const Vec<double> f = select(near, x, parts.m - one);
  const Vec<double> result = copysign(log_parts(parts.e, f, select(near, Vec<double>(0.0), lost / u)), x);
  const Vec<double> infinity(std::numeric_limits<double>::infinity()), nan(std::numeric_limits<double>::quiet_NaN());
  const Vec<double> outside = select(x == -one, -infinity, select(x < -one, nan, x));
  return select((x > -one) & (x < infinity), result, outside);
}

// (a + a_low) / (b + b_low), to 0.6 ULP: the quotient of the rounded parts, then one correction by what they lack.
RUSTTORCH_INLINE Vec<double> divide(Vec<double> a, Vec<double> a_low, Vec<double> b, Vec<double> b_low) {
  const Vec<double> inverse = Vec<double>(1.0) / b, quotient = a * inverse;
  return fma(fnma(quotient, b_low, fnma(quotient, b, a) + a_low), inverse, quotient);
}

// tanh(x) = expm1(2x) / (expm1(2x) + 2). <= 1.6 ULP, for every x. Keeps the sign of zero; +-inf -> +-1, NaN -> NaN.
RUSTTORCH_INLINE Vec<double> tanh(Vec<double> x) {
  const Vec<double> twice = min_number(Vec<double>(40.0), abs(x + x));
  const ReducedDouble reduced = reduce_by_ln2(twice);
  const Vec<double> correction = expm1_correction(reduced);
  const Vec<double> power = power_from_shifted(reduced.shifted);
  const Vec<double> high = fma(power, reduced.high, power - Vec<double>(1.0)), low = power * correction;
  const Vec<double> e = high + low, d = e + Vec<double>(2.0);
  const Vec<double> quotient = divide(e, low - (e - high), d, e - (d - Vec<double>(2.0)));
  return copysign(select(twice < Vec<double>(40.0), quotient, abs(twice - twice) + Vec<double>(1.0)), x);
}

// 1 / (1 + exp(-x)), as exp(x) / (1 + exp(x)) for x < 0. <= 1.6 ULP wherever the result is normal. -inf -> 0,
// inf -> 1, NaN -> NaN.
RUSTTORCH_INLINE Vec<double> sigmoid(Vec<double> x) {
  const Vec<double> one(1.0);
  const Vec<double> e = exp(-abs(x));
  const Vec<double> a = select(x < Vec<double>(0.0), e, one), b = one + e;
  const Vec<double> inverse = one / b, quotient = a * inverse;
  return fma(fnma(quotient, e - (b - one), fnma(quotient, b, a)), inverse, quotient);
}

// erf(x). <= 1.6 ULP, for every x. Keeps the sign of zero; +-inf -> +-1, NaN -> NaN.
// |x| < 1: x + x P(x^2). Above: 1 - exp(-x^2) erfcx(x), where erfcx(a) = P(t)/(a + 3.75), t = (a - 3.75)/(a + 3.75).
RUSTTORCH_INLINE Vec<double> erf(Vec<double> x) {
  constexpr double small[] = {0x1.06eba8214db68p-3,   -0x1.812746b0379b5p-2,  0x1.ce2f21a040b02p-4,
                              -0x1.b82ce311f7069p-6,  0x1.565bccf908894p-8,   -0x1.c02db03ff6859p-11,
                              0x1.f9a2bb4bba0e5p-14,  -0x1.f4ca5bb28570dp-17, 0x1.b9807f2338cf2p-20,
                              -0x1.5c0bc31311077p-23, 0x1.d73d744d741c6p-27,  -0x1.ac1a419759674p-31};
  constexpr double large[] = {0x1.178842825349cp0,   -0x1.eae02d0a14569p-1,  0x1.78fecb4e81c72p-1,
                              -0x1.f63dd81196306p-2, 0x1.1dc271188be94p-2,   -0x1.0e3ea224d57cdp-3,
                              0x1.92618b927ae7p-5,   -0x1.9ac694a7fe29fp-7,  0x1.028fc3e7fd4d4p-10,
                              0x1.a0b5adafa33efp-11, -0x1.6d8cdafa900eep-12, 0x1.698615a6f3806p-17,
                              0x1.3b2635db076b5p-15, -0x1.462a55b2f91dap-17, -0x1.5fbe8bf05fd4dp-18};
  const Vec<double> a = min_number(Vec<double>(6.0), abs(x));  // erf(5.93) rounds to 1
  const Vec<double> square = a * a;
  const Vec<double> inverse = Vec<double>(1.0) / (a + Vec<double>(3.75));
  const Vec<double> t = fnma(inverse, Vec<double>(7.5), Vec<double>(1.0));
  const ReducedDouble reduced = reduce_by_ln2(-square);
  const Vec<double> power = power_from_shifted(reduced.shifted);
  const Vec<double> decay = fma(exp_reduced_minus_1(reduced.high, reduced.low), power, power);
  const Vec<double> outer = fnma(decay * inverse, polynomial(t, large), Vec<double>(1.0));
  const Vec<double> inner = fma(a, polynomial(square, small), a);
  return copysign(select(a >= Vec<double>(1.0), outer, inner), x);
}

// Phi(x) = erfc(-x / sqrt 2) / 2, the normal distribution. <= 5 ULP wherever the result is normal: the lower tail keeps
// its digits. -inf -> 0, inf -> 1, NaN -> NaN. The formula of erf, on the whole range, with a = |x| / sqrt 2; a may be
// rounded, since the exponent comes from x^2, whose rounding error is included.
RUSTTORCH_INLINE Vec<double> normal_cdf(Vec<double> x) {
  constexpr double c[] = {-0x1.eae02d0a1456bp-1,  0x1.78fecb4e819edp-1,   -0x1.f63dd81196098p-2, 0x1.1dc27118a51d1p-2,
                          -0x1.0e3ea224c12c9p-3,  0x1.92618b74b5cf4p-5,   -0x1.9ac695647b0b9p-7, 0x1.02900c2e6c972p-10,
                          0x1.a0b75a12f5a8ap-11,  -0x1.6d95a1d04d38cp-12, 0x1.6376a3a84d1fcp-17, 0x1.3a62efae179d5p-15,
                          -0x1.2ab07c5bc9e2p-17,  -0x1.bb54e055d82dfp-19, 0x1.ba8f394bde63fp-20, 0x1.406bb22aba01fp-22,
                          -0x1.0d1e80aefb6f3p-22, -0x1.5e3aba01706b6p-25, 0x1.dde03b7667c2p-26,  0x1.f5079f74c6e07p-28};
  const Vec<double> half(0.5), t = min_number(Vec<double>(38.8), abs(x));  // Phi(-38.6) rounds to 0
  const Vec<double> square = t * t, lost = half * fma(t, t, -square), a = t * Vec<double>(0.70710678118654752);
  const Vec<double> k(3.75);
  const Vec<double> sum = a + k, sum_low = a - (sum - k);
  const Vec<double> inverse = Vec<double>(1.0) / sum;
  // z is wanted exactly rounded, because near a = 0 its error counts four times: one Newton step on z (a + k) = a - k.
  const Vec<double> rough = fnma(inverse, Vec<double>(7.5), Vec<double>(1.0));
  const Vec<double> z = fma(fnma(rough, a, a) - fma(rough, k, k), inverse, rough);
  const ReducedDouble reduced = reduce_by_ln2(-half * square);
  // p + p_low, times 1 + w, over a + k: every rounding at full size is carried along and returned by divide().
  const Vec<double> first(0x1.178842825349dp0), rest = polynomial(z, c);
  const Vec<double> p = fma(z, rest, first), p_low = fma(z, rest, first - p);
  const Vec<double> w = exp_reduced_minus_1(reduced.high, reduced.low + lost);
  const Vec<double> numerator = fma(p, w, p), numerator_low = fma(p, w, p - numerator) + p_low;
  const Vec<double> mantissa = divide(numerator, numerator_low, sum, sum_low);
  // n is in [-1086, 0]: 2^(n+512) is normal, and the product with 2^-513 rounds once.
  const Vec<double> tail = mantissa * power_from_shifted(reduced.shifted + Vec<double>(512.0)) * Vec<double>(0x1p-513);
  return select(x > Vec<double>(0.0), Vec<double>(1.0) - tail, tail);
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
