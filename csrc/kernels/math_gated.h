// What the activations need beyond elementary functions: exponentials raised by 2^32, so that a result keeps its digits
// down to the smallest normal number although its exponential is far below it. One overload per element type.
#pragma once
#include "math_double.h"
#include "math_float.h"

#ifdef RUSTTORCH_ISA
namespace rusttorch::RUSTTORCH_ISA {

inline constexpr int kRaise = 32;
inline constexpr float kRaised = 0x1p32f, kLowered = 0x1p-32f;

// 2^32 e^x for x <= 65. float: 0 from x = -110.2 down.
RUSTTORCH_INLINE Vec<float> exp_raised(Vec<float> x) { return exp_shifted<kRaise>(x); }
RUSTTORCH_INLINE Vec<double> exp_raised(Vec<double> x) { return exp(x) * Vec<double>(kRaised); }

RUSTTORCH_INLINE Vec<double> expm1_nonpositive(Vec<double> x) { return expm1(x); }
RUSTTORCH_INLINE Vec<double> log1p_unit(Vec<double> e) { return log1p(e); }

// The upper tail of the normal distribution for t >= 0: `tail` = 2^32 Phi(-t), `density` = 2^32 e^(-t^2/2), and
// `argument` = t or the end of the range, from where on both are zero.
template <class V>
struct NormalTail {
  V tail, density, argument;
};
// float: tail = density * erfcx(t / sqrt 2) / 2, ULP 3; both are 0 from 14.85 on.
// t^2 is kept in two parts: its rounding error, up to 4e-6, would cost 60 ULP of the exponential. The second factor is a
// ratio of polynomials of degree 4 and 5, all coefficients positive, fitted on [0, 14.9] to relative 1.5e-8.
RUSTTORCH_INLINE NormalTail<Vec<float>> normal_tail(Vec<float> t) {
  const Vec<float> u = min_number(Vec<float>(14.8465756f), t), square = u * u;
  const Vec<float> lost = fma(u, u, -square);
  const Vec<float> magic(kIntegerMagic + 127 + kRaise);
  const Vec<float> shifted = fma(square, Vec<float>(-0.5f * kInverseLn2), magic);
  const Vec<float> n = shifted - magic;
  const Vec<float> minus_2r = fma(n, Vec<float>(2 * kLn2High), square) + fma(n, Vec<float>(2 * kLn2Low), lost);
  const Vec<float> power = from_bits(shift_left<23>(bits(shifted)));
  const Vec<float> density = fma(exp_tail(Vec<float>(-0.5f) * minus_2r), power, power);
  const Vec<float> p = polynomial(u, square, 0.5f, 0x1.c1a070p-2f, 0x1.7878cep-3f, 0x1.4e7f1ap-5f, 0x1.0fb4c6p-8f);
  const Vec<float> q = polynomial(u, square, 1.0f, 0x1.ad1268p+0f, 0x1.347770p+0f, 0x1.e2549ap-2f, 0x1.a34126p-4f,
                                  0x1.54878ap-7f);
  return {density * p / q, density, u};
}
RUSTTORCH_INLINE NormalTail<Vec<double>> normal_tail(Vec<double> t) {
  const Vec<double> u = min_number(Vec<double>(40.0), t), half(0.5), square = u * u, lost = fma(u, u, -square);
  const Vec<double> density = exp(-half * square);
  return {erfc(u * Vec<double>(0.70710678118654752)) * (half * Vec<double>(kRaised)),
          fnma(half * lost, density, density) * Vec<double>(kRaised), u};
}

// 2^32 e^(2u) for u = sqrt(2/pi) (x + 0.044715 x^3) and x <= 0. float: ULP 1.5; 0 from x = -10.92 down.
// With c = 1 / 0.044715 the exponent is k x (x^2 + c), k = 0.0713548: the product is kept in two parts until n ln 2 / k
// has been subtracted, because an exponent of 80 rounded to float would cost 60 ULP of the exponential.
RUSTTORCH_INLINE Vec<float> gelu_tanh_exponential(Vec<float> x) {
  const Vec<float> u = max_number(Vec<float>(-10.9151478f), x);
  const Vec<float> c_high(0x1.65d26p+4f), c_low(-0x1.226128p-20f);
  const Vec<float> factor = fma(u, u, c_high);
  const Vec<float> factor_low = fma(u, u, c_high - factor) + c_low;
  const Vec<float> cubic = u * factor;
  const Vec<float> cubic_low = fma(u, factor_low, fma(u, factor, -cubic));
  const Vec<float> magic(kIntegerMagic + 127 + kRaise);
  const Vec<float> shifted = fma(cubic, Vec<float>(0x1.a5a7d0p-4f), magic);
  const Vec<float> n = shifted - magic;
  const Vec<float> r = fnma(n, Vec<float>(0x1.36d9d6p+3f), cubic) + fma(n, Vec<float>(0x1.25115cp-22f), cubic_low);
  const Vec<float> power = from_bits(shift_left<23>(bits(shifted)));
  return fma(exp_tail(r * Vec<float>(0x1.2444f2p-4f)), power, power);
}
RUSTTORCH_INLINE Vec<double> gelu_tanh_exponential(Vec<double> x) {
  const Vec<double> u = max_number(Vec<double>(-40.0), x);
  return exp(u * fma(u * u, Vec<double>(0.071354816272600249), Vec<double>(1.5957691216057308))) *
         Vec<double>(kRaised);
}

// x s with s = 1 / (1 + 1/e), given e32 = 2^32 e for e = e^-|a|, where s is the sigmoid of a and a has the sign of x:
// x / (1 + e) for x >= 0, x e / (1 + e) for x < 0. x = -inf gives -inf * 0 = NaN, as PyTorch does.
template <class V>
RUSTTORCH_INLINE V gated(V x, V e32) {
  const V lowered(kLowered), e_plus_1 = fma(e32, lowered, V(1));
  return select(x < V(0), (x * e32) * lowered, x) / e_plus_1;
}
// Its derivative, s + x s (1 - s) a', with slope = a': the same two cases over (1 + e)^2. NaN for x = +-inf.
template <class V>
RUSTTORCH_INLINE V gated_derivative(V x, V e32, V slope) {
  const V lowered(kLowered), e_plus_1 = fma(e32, lowered, V(1));
  const V sum = fma(select(x < V(0), e32, V(kRaised)), e_plus_1, (x * e32) * slope);
  return sum / (e_plus_1 * e_plus_1) * lowered;
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
