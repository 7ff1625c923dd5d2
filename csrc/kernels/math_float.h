// Elementary functions of Vec<float>. Each comment states the largest error in ULP against the real value ("ULP"
// below): what is promised, which tests/cpp/float_functions.h repeats and test_math_float.cpp enforces on a sample, and
// in brackets what ulp_sweep measured over all 2^32 inputs. Then what happens at the ends. NaN gives NaN everywhere. At
// most one division each, no tables, no state. Times: ns for 8 floats in the first-level cache on one Zen 3 core at 3.2
// GHz.
#pragma once
#include "vec.h"

#ifdef RUSTTORCH_ISA
namespace rusttorch::RUSTTORCH_ISA {

// c0 + c1 x + c2 x^2 + ... from two interleaved chains in x2 = x*x: one multiplication more than Horner, half the
// latency. On Zen 3 the scheduler holds about 4 iterations of a loop of 30 operations, so a chain of 90 cycles, not the
// ports, would set the speed.
RUSTTORCH_INLINE Vec<float> polynomial(Vec<float>, Vec<float>, float c) { return Vec<float>(c); }
RUSTTORCH_INLINE Vec<float> polynomial(Vec<float> x, Vec<float>, float c0, float c1) {
  return fma(x, Vec<float>(c1), Vec<float>(c0));
}
template <class... C>
RUSTTORCH_INLINE Vec<float> polynomial(Vec<float> x, Vec<float> x2, float c0, float c1, C... rest) {
  return fma(polynomial(x, x2, rest...), x2, polynomial(x, x2, c0, c1));
}

// The same by Horner's scheme, where the latency does not matter.
RUSTTORCH_INLINE Vec<float> horner(Vec<float>, float c) { return Vec<float>(c); }
template <class... C>
RUSTTORCH_INLINE Vec<float> horner(Vec<float> x, float c, C... rest) {
  return fma(horner(x, rest...), x, Vec<float>(c));
}

// -|x|, for Vec<float> and Vec<double>.
RUSTTORCH_INLINE Vec<float> negative_abs(Vec<float> x) { return from_bits(bits(x) | Vec<int32_t>(INT32_MIN)); }
RUSTTORCH_INLINE Vec<double> negative_abs(Vec<double> x) { return from_bits(bits(x) | Vec<int64_t>(INT64_MIN)); }

// e^x = (1 + tail) 2^n with n = round(x / ln 2) and |tail| <= 0.42; `power` is 2^(n + shift).
// x / ln 2 + 1.5 * 2^23 leaves n in the low bits of the sum; with the exponent bias added to the constant, shifting the
// sum left by 23 gives 2^(n + shift). That is 0 for n + shift = -127 and inf for 128: callers clamp x so that n + shift
// stays within. r = x - n ln2_high is exact (both terms lie on a grid of 2^-25, their difference is below 0.35).
struct ExpTerms {
  Vec<float> tail, power;
};
inline constexpr float kInverseLn2 = 0x1.715476p+0f, kLn2High = 0x1.62e430p-1f, kLn2Low = -0x1.05c610p-29f;
inline constexpr float kIntegerMagic = 12582912.0f;  // 1.5 * 2^23

// q in e^(k r) - 1 = k r + r^2 q(r) for |k r| <= 0.347; relative error of the whole 1.4e-8. A factor k folded into the
// coefficients is shorter than a product k r in front of the series.
RUSTTORCH_INLINE Vec<float> exp_series(Vec<float> r, Vec<float> r2, float k = 1.0f) {
  return polynomial(r, r2, 0x1.fffffep-2f * k * k, 0x1.5554b0p-3f * k * k * k, 0x1.555716p-5f * k * k * k * k,
                    0x1.122794p-7f * k * k * k * k * k, 0x1.6b7350p-10f * k * k * k * k * k * k);
}
template <int shift>
RUSTTORCH_INLINE ExpTerms exp_terms(Vec<float> x) {
  const Vec<float> magic(kIntegerMagic + 127 + shift);
  const Vec<float> shifted = fma(x, Vec<float>(kInverseLn2), magic);
  const Vec<float> n = shifted - magic;
  const Vec<float> r = fnma(n, Vec<float>(kLn2Low), fnma(n, Vec<float>(kLn2High), x)), r2 = r * r;
  return {fma(exp_series(r, r2), r2, r), from_bits(shift_left<23>(bits(shifted)))};
}
// The same in full precision: 1 + main + rest without the rounding errors of n ln2_low and of the sum, and with one
// more term in the series.
struct ExpParts {
  Vec<float> main, rest;
};
RUSTTORCH_INLINE ExpParts exp_parts(Vec<float> x, Vec<float> n) {
  const Vec<float> r = fnma(n, Vec<float>(kLn2High), x), r2 = r * r, low = n * Vec<float>(-kLn2Low);
  const Vec<float> series =
      polynomial(r, r2, 0x1p-1f, 0x1.555554p-3f, 0x1.5554f0p-5f, 0x1.111306p-7f, 0x1.6d436ap-10f, 0x1.9e0bfcp-13f);
  return {r, fma(series, r2, fma(low, r, low))};
}

// e^x. ULP 1.0 (0.994), 2.9 ns. Every x: overflows to inf above 88.722839, underflows gradually to 0 below -103.97.
// 2^n is applied in two factors, because n runs from -150 to 128; the second one does any rounding to a denormal.
RUSTTORCH_INLINE Vec<float> exp(Vec<float> x) {
  x = min_number(Vec<float>(89.0f), max_number(Vec<float>(-104.0f), x));
  const Vec<float> magic(kIntegerMagic + 254);
  const Vec<float> shifted = fma(x, Vec<float>(kInverseLn2), magic);
  const Vec<float> n = shifted - magic;
  const ExpParts e = exp_parts(x, n);
  const Vec<int32_t> half = shift_right_arithmetic<1>(bits(shifted));  // low bits: floor(n / 2) + 127
  const Vec<float> first = from_bits(shift_left<23>(half));
  const Vec<float> second = from_bits(shift_left<23>(bits(shifted) - half));
  return fma(e.main + e.rest, first, first) * second;
}

// 2^shift e^x for x <= 88 - shift ln 2; 0 where the shifted value leaves the normal range, that is from
// -(126.5 + shift) ln 2 down. Smaller arguments are raised to exp_zero(shift), where r and the tail are positive: 0 y keeps y's sign.
// ULP 1.04, 1.8 ns. The shift is worth its later division where e^x alone would lose digits below 2^-126.
constexpr float exp_zero(int shift) { return float(-(127 + shift) * 0.69314718055994531 + 0.125); }
template <int shift>
RUSTTORCH_INLINE Vec<float> exp_shifted(Vec<float> x) {
  const ExpTerms e = exp_terms<shift>(max_number(Vec<float>(exp_zero(shift)), x));
  return fma(e.tail, e.power, e.power);
}

// The same, by steps of ln 2 / 16 and a table of 2^(j / 16): three multiply-adds less, for an error of 1.6 ULP. The table's
// bits are those of 2^(j / 16) less j 2^19, so that the sum with the shifted integer 16 n + j is 2^(n + j / 16).
inline constexpr float kSixteenthPowers[16] = {0x1.000000p+0f, 0x1.fb5586p-1f, 0x1.f72b84p-1f, 0x1.f387a6p-1f,
                                               0x1.f06fe0p-1f, 0x1.edea64p-1f, 0x1.ebfdaep-1f, 0x1.eab07ep-1f,
                                               0x1.ea09e6p-1f, 0x1.ea1148p-1f, 0x1.eace54p-1f, 0x1.ec4918p-1f,
                                               0x1.ee89fap-1f, 0x1.f199bep-1f, 0x1.f5818ep-1f, 0x1.fa4afap-1f};
template <int shift>
RUSTTORCH_INLINE Vec<float> exp_by_table(Vec<float> x) {
  const Vec<float> magic(kIntegerMagic + 16 * shift);
  x = max_number(Vec<float>(float(-(127 + shift) * 0.69314718055994531)), x);
  const Vec<float> shifted = fma(x, Vec<float>(16 * kInverseLn2), magic), n = shifted - magic;
  const Vec<float> r = fnma(n, Vec<float>(kLn2Low / 16), fnma(n, Vec<float>(kLn2High / 16), x));
  const Vec<float> tail = fma(fma(r, Vec<float>(0x1.555556p-3f), Vec<float>(0.5f)), r * r, r);
  const Vec<int32_t> index = bits(shifted);
  const Vec<float> power = from_bits(bits(gather_table16(kSixteenthPowers, index)) + shift_left<19>(index));
  return fma(tail, power, power);
}

// e^x - 1. ULP 1.0 (0.994), 3.6 ns. Every x: -1 below -17.33, inf above 88.722839; the sign of zero is kept.
// s (1 + main + rest) - 1 with s = 2^n; the rounding errors of s - 1 and of s main + (s - 1) are recovered.
RUSTTORCH_INLINE Vec<float> expm1(Vec<float> x) {
  const Vec<float> large(80.0f), magic(kIntegerMagic + 127);
  const Vec<float> bounded = min_number(large, max_number(Vec<float>(-25.0f), x));
  const Vec<float> shifted = fma(bounded, Vec<float>(kInverseLn2), magic);
  const ExpParts e = exp_parts(bounded, shifted - magic);
  const Vec<float> one(1.0f), power = from_bits(shift_left<23>(bits(shifted))), start = power - one;
  const Vec<float> sum = fma(e.main, power, start);
  const Vec<float> lost = fma(e.main, power, start - sum) + ((power - start) - one);
  const Vec<float> result = copysign(sum + fma(e.rest, power, lost), x);
  const Mask<float> is_large = x > large;
  if (any(is_large)) return select(is_large, exp(x), result);
  return result;
}

// e^x - 1 for x <= 0; the sign of zero is lost. ULP 1.0 (0.985, as elu). A lane with x > 0 may hold anything.
RUSTTORCH_INLINE Vec<float> expm1_nonpositive(Vec<float> x) {
  const ExpTerms e = exp_terms<0>(max_number(Vec<float>(-25.0f), x));
  return fma(e.tail, e.power, e.power - Vec<float>(1.0f));
}

// log(2^e (1 + f)) for |f| <= 0.4143, given e as a float and a correction to f that is below its last bit.
// e ln2_high is exact (ln2_high has 16 bits); the rounding error of its sum with f is recovered (Fast2Sum; the sum is
// dominated by e ln2_high or e = 0), so only the last addition rounds at full size.
RUSTTORCH_INLINE Vec<float> log_of_parts(Vec<float> e, Vec<float> f, Vec<float> correction) {
  const Vec<float> f2 = f * f;
  const Vec<float> p = polynomial(f, f2, 0x1.555574p-2f, -0x1.000236p-2f, 0x1.99929ep-3f, -0x1.546556p-3f,
                                  0x1.23b8dcp-3f, -0x1.0ebe6cp-3f, 0x1.00c666p-3f, -0x1.2861e8p-4f);
  const Vec<float> scaled = e * Vec<float>(0x1.62e4p-1f);
  const Vec<float> sum = scaled + f;
  const Vec<float> lost = (f - (sum - scaled)) + correction;
  Vec<float> rest = fma(e, Vec<float>(0x1.7f7d1cp-20f), lost);
  rest = fma(f * f2, p, rest);
  return sum + fnma(Vec<float>(0.5f), f2, rest);
}

// log x. ULP 1.0 (0.844), 3.7 ns. Every x: log(+-0) = -inf, log(x < 0) = NaN, log(inf) = inf; denormal x at full
// accuracy.
RUSTTORCH_INLINE Vec<float> log(Vec<float> x) {
  const Vec<int32_t> sqrt_half(0x3f3504f3);
  // Zero, denormal, negative, inf, NaN: one signed compare of the bits, moved so that these come out on top.
  const Mask<int32_t> special = bits(x) + Vec<int32_t>(0x7f800000) > Vec<int32_t>(-0x01000001);
  Vec<float> argument = x, offset(0.0f);
  if (any(special)) {
    const Mask<float> denormal = x < Vec<float>(0x1p-126f);
    argument = select(denormal, x * Vec<float>(0x1p23f), x);
    offset = select(denormal, Vec<float>(-23.0f), offset);
  }
  const Vec<int32_t> i = bits(argument) - sqrt_half;
  const Vec<float> e = to_float(shift_right_arithmetic<23>(i)) + offset;
  const Vec<float> f = from_bits((i & Vec<int32_t>(0x007fffff)) + sqrt_half) - Vec<float>(1.0f);
  const Vec<float> result = log_of_parts(e, f, Vec<float>(0.0f));
  if (any(special)) {
    const Vec<float> infinity(std::numeric_limits<float>::infinity()), nan(std::numeric_limits<float>::quiet_NaN());
    const Vec<float> low = select(x == Vec<float>(0.0f), -infinity, select(x < Vec<float>(0.0f), nan, result));
    return select(x < infinity, low, x);
  }
  return result;
}

// log(1 + x). ULP 1.0 (0.872), 4.7 ns. Every x: log1p(-1) = -inf, log1p(x < -1) = NaN, log1p(inf) = inf; the sign of
// zero is kept. 1 + x is rounded only to choose the exponent e; f = x 2^-e + (2^-e - 1) is exact or its error is
// recovered.
RUSTTORCH_INLINE Vec<float> log1p(Vec<float> x) {
  const Vec<float> one(1.0f), large(0x1p60f);
  const Vec<int32_t> exponent = shift_right_arithmetic<23>(bits(x + one) - Vec<int32_t>(0x3f3504f3));
  const Vec<float> power = from_bits(bits(one) - shift_left<23>(exponent));
  const Vec<float> f = fma(x, power, power - one);
  const Vec<float> lost = fma(x, power, (power - one) - f);
  const Vec<float> sum = log_of_parts(to_float(exponent), f, fnma(lost, f, lost));  // d log(1+f) = lost / (1+f)
  const Vec<float> result = select(x == Vec<float>(0.0f), x, sum);
  const Mask<float> special = ~((x > -one) & (x < large));
  if (any(special)) return select(special, log(x + one), result);
  return result;
}

// log(1 + e) for e in [0, 1] alone, where e + e^2 q(e) needs no division and no exponent. ULP 1.34, 1.7 ns.
RUSTTORCH_INLINE Vec<float> log1p_unit(Vec<float> e) {
  const Vec<float> e2 = e * e, e4 = e2 * e2;
  const Vec<float> low = polynomial(e, e2, -0x1.ffffd2p-2f, 0x1.554ddap-2f, -0x1.ff2556p-3f, 0x1.935568p-3f);
  const Vec<float> high =
      polynomial(e, e2, -0x1.3a6736p-3f, 0x1.b53c48p-4f, -0x1.d7efa8p-5f, 0x1.4a9226p-6f, -0x1.b22adep-9f);
  return fma(e2, fma(high, e4, low), e);
}

// tanh x. ULP 1.0 (0.988), 4.7 ns. Every x: the sign of zero is kept, +-1 from |x| = 9.02 on.
// |x| < 0.9: x + x z q(z), z = x^2. Above: 1 - 2 / (e^2|x| + 1), with the 1 added before e^2|x| is rounded.
RUSTTORCH_INLINE Vec<float> tanh(Vec<float> x) {
  const Vec<float> one(1.0f), t = abs(x), z = t * t;
  const Vec<float> magic(kIntegerMagic + 127);
  const Vec<float> bounded = min_number(Vec<float>(16.0f), t);
  const Vec<float> shifted = fma(bounded, Vec<float>(2 * kInverseLn2), magic);
  const Vec<float> n = shifted - magic;
  const Vec<float> r = fnma(n, Vec<float>(kLn2High / 2), bounded), r2 = r * r;
  const Vec<float> tail = fma(exp_series(r, r2, 2.0f), r2, r + r), power = from_bits(shift_left<23>(bits(shifted)));
  const Vec<float> large = one - Vec<float>(2.0f) / fma(tail, power, power + one);
  const Vec<float> q = horner(z, -0x1.55554ep-2f, 0x1.110f3ep-3f, -0x1.b9cb74p-5f, 0x1.62fc0cp-6f, -0x1.0f025ep-7f,
                              0x1.5345a0p-9f, -0x1.dfd3ecp-12f);
  const Vec<float> small = fma(t * z, q, t);
  return copysign(select(t < Vec<float>(0.9f), small, large), x);
}

// erf x. ULP 1.0 (0.991), 7.1 ns. Every x: the sign of zero is kept, +-1 from |x| = 3.92 on.
// |x| < 1: x + x p(x^2). Above: 1 - exp(-q(|x|)) with q = -log erfc fitted on [1, 3.95]. The last step of q is fused
// with the subtraction of n ln 2: rounded at its full size, up to 17, q would cost half an ULP.
RUSTTORCH_INLINE Vec<float> erf(Vec<float> x) {
  const Vec<float> one(1.0f), t = abs(x), z = t * t;
  const Vec<float> p = horner(z, 0x1.06eba8p-3f, -0x1.812740p-2f, 0x1.ce2d52p-4f, -0x1.b7fec4p-6f, 0x1.542fecp-8f,
                              -0x1.a5197ap-11f, 0x1.4c5cb4p-14f);
  const Vec<float> small = fma(t, p, t);
  const Vec<float> u = min_number(Vec<float>(3.95f), t);
  const Vec<float> slope = horner(u, 0x1.21522cp0f, 0x1.438e10p-1f, 0x1.c27772p-4f, -0x1.affe1ep-6f, 0x1.36c2bap-8f,
                                  -0x1.370f3ep-11f, 0x1.7f25eep-15f, -0x1.b2b228p-20f);  // (q - q(0)) / u
  const Vec<float> magic(kIntegerMagic + 127);
  const Vec<float> shifted = fma(slope * u, Vec<float>(-kInverseLn2), magic), n = shifted - magic;
  const Vec<float> high = fnma(slope, u, n * Vec<float>(-0x1.62e4p-1f));  // n ln2_high is exact
  const Vec<float> r = high - fma(n, Vec<float>(0x1.7f7d1cp-20f), Vec<float>(-0x1.3b747cp-12f)), r2 = r * r;
  const Vec<float> tail = fma(exp_series(r, r2), r2, r), power = from_bits(shift_left<23>(bits(shifted)));
  return copysign(select(t < one, small, fnma(tail, power, one - power)), x);
}

// 1 / (1 + e^-x). ULP 2.0 (1.999), results below 2^-126 included, 3.0 ns. Every x: 0 below -103.97, 1 above 17.33.
// The denominator is formed at 2^-24 of its size, so that neither it nor its inverse leaves the range.
RUSTTORCH_INLINE Vec<float> sigmoid(Vec<float> x) {
  const ExpTerms e = exp_terms<-24>(-max_number(Vec<float>(-104.3f), min_number(Vec<float>(70.0f), x)));
  const Vec<float> denominator = fma(e.tail, e.power, Vec<float>(0x1p-24f)) + e.power;
  return Vec<float>(1.0f) / denominator * Vec<float>(0x1p-24f);
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
