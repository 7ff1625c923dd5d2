// What the activations need beyond elementary functions: exponentials raised by 2^32, so that a result keeps its digits
// down to the smallest normal number although its exponential is far below it. One overload per element type.
#pragma once
#include "math_double.h"
#include "math_float.h"
#include "piecewise.h"

#ifdef RUSTTORCH_ISA
namespace rusttorch::RUSTTORCH_ISA {

inline constexpr int kRaise = 32;
inline constexpr float kRaised = 0x1p32f, kLowered = 0x1p-32f;

// 2^32 e^x for x <= 65. float: 0 from x = -110.2 down.
RUSTTORCH_INLINE Vec<float> exp_raised(Vec<float> x) { return exp_shifted<kRaise>(x); }
RUSTTORCH_INLINE Vec<double> exp_raised(Vec<double> x) { return exp(x) * Vec<double>(kRaised); }

// 2^32 e^x y, rounded once less than the product.
RUSTTORCH_INLINE Vec<float> exp_raised_times(Vec<float> x, Vec<float> y) {
  const ExpTerms e = exp_terms<kRaise>(max_number(Vec<float>(exp_zero(kRaise)), x));
  const Vec<float> scaled = y * e.power;
  return fma(e.tail, scaled, scaled);
}
RUSTTORCH_INLINE Vec<double> exp_raised_times(Vec<double> x, Vec<double> y) { return exp_raised(x) * y; }

RUSTTORCH_INLINE Vec<double> expm1_nonpositive(Vec<double> x) { return expm1(x); }
RUSTTORCH_INLINE Vec<double> log1p_unit(Vec<double> e) { return log1p(e); }

// The normal distribution for t >= 0: (1 + tail) power = 2^32 e^(-t^2/2), 0 from 14.83 on, where tail > 0 keeps the
// sign of zero (see exp_zero); ratio = Phi(-t) / e^(-t^2/2) = erfcx(t / sqrt 2) / 2, and t_ratio = t ratio.
// t^2 is kept in two parts: its rounding error, up to 4e-6, would cost 60 ULP of the exponential. With p and s of
// degree 4, all coefficients positive, ratio = p / (sqrt(2 pi) t p + s), fitted on [0, 13.3] to relative 1.6e-8. The
// numerator returns in the denominator and s is small for large t, so rounding errors of p cancel there: 2 ULP less
// than a plain quotient of polynomials. It does not wait for the exponential, so the division is hidden.
struct NormalTerms {
  Vec<float> ratio, t_ratio, tail, power;
};
RUSTTORCH_INLINE NormalTerms normal_terms(Vec<float> t) {
  const Vec<float> u = min_number(Vec<float>(14.838f), t), square = u * u;
  const Vec<float> lost = fma(u, u, -square);
  const Vec<float> magic(kIntegerMagic + 127 + kRaise);
  const Vec<float> shifted = fma(square, Vec<float>(-0.5f * kInverseLn2), magic);
  const Vec<float> n = shifted - magic;
  const Vec<float> r = fma(n, Vec<float>(2 * kLn2High), square) + fma(n, Vec<float>(2 * kLn2Low), lost);  // -2 x usual
  const Vec<float> r2 = r * r, power = from_bits(shift_left<23>(bits(shifted)));
  const Vec<float> tail = fma(exp_series(r, r2, -0.5f), r2, Vec<float>(-0.5f) * r);
  const Vec<float> p_rest = polynomial(u, square, 0x1.d17776p-1f, 0x1.90183cp-2f, 0x1.6e813ep-4f, 0x1.35fb96p-7f);
  const Vec<float> s_rest = polynomial(u, square, 0x1.d092f6p-1f, 0x1.d00aeap-3f, 0x1.827eeep-6f, 0x1.78b012p-19f);
  const Vec<float> t_p = fma(square, p_rest, u);
  const Vec<float> denominator = fma(Vec<float>(0x1.40d932p+1f), t_p, u * s_rest) + Vec<float>(2.0f);
  return {fma(u, p_rest, Vec<float>(1.0f)) / denominator, t_p / denominator, tail, power};
}

// max(x, 0); NaN and -0 pass.
template <class V>
RUSTTORCH_INLINE V relu(V x) {
  return select(x < V(0), V(0), x);
}

// x Phi(x) = max(x, 0) - t Phi(-t), t = |x|: no cancellation on either side.
RUSTTORCH_INLINE Vec<float> gelu_erf_tail(Vec<float> x) {  // any x; -inf * 0 gives the NaN that PyTorch gives
  const NormalTerms normal = normal_terms(abs(x));
  const Vec<float> raised = normal.t_ratio * normal.power;
  const Vec<float> positive = copysign(x - min_number(Vec<float>(0.0f), x), x);
  return fnma(fma(normal.tail, raised, raised), Vec<float>(kLowered), positive);
}
RUSTTORCH_INLINE Vec<float> gelu_erf(Vec<float> x) {
  if constexpr (!kPermutesTables) return gelu_erf_tail(x);
  const Vec<float> end(kNormalTail.end()), t = min_number(end, abs(x));
  const Vec<float> result = copysign(fnma(t, kNormalTail(t), relu(x)), x);  // -0 of -0, whatever relu makes of it
  const Mask<float> tail = x < -end;  // above `end` the second term is below half a ULP
  return any(tail) ? select(tail, gelu_erf_tail(x), result) : result;
}
RUSTTORCH_INLINE Vec<double> gelu_erf(Vec<double> x) { return x * normal_cdf(x); }
// Phi(x) + x phi(x) = p for x < 0 and 1 - p otherwise, with p = Phi(-t) - t phi(t). NaN for +-inf.
RUSTTORCH_INLINE Vec<float> mirrored(Vec<float> x, Vec<float> p) {
  return select(x < Vec<float>(0.0f), p, Vec<float>(1.0f) - p);
}
RUSTTORCH_INLINE Vec<float> gelu_erf_derivative_tail(Vec<float> x) {  // any x
  const Vec<float> t = abs(x), lowered(kLowered), slope(0.39894228f);
  const NormalTerms normal = normal_terms(t);
  const Vec<float> raised = fnma(slope, t, normal.ratio) * normal.power;
  const Vec<float> left = fma(normal.tail, raised, raised);
  return select(x < Vec<float>(0.0f), left * lowered, fnma(left, lowered, Vec<float>(1.0f)));
}
RUSTTORCH_INLINE Vec<float> gelu_erf_derivative(Vec<float> x) {
  if constexpr (!kPermutesTables) return gelu_erf_derivative_tail(x);
  const Vec<float> end(kNormalTailSlope.end()), t = abs(x);
  const Vec<float> result = mirrored(x, kNormalTailSlope(min_number(end, t)));
  const Mask<float> tail = t > end;
  return any(tail) ? select(tail, gelu_erf_derivative_tail(x), result) : result;
}
RUSTTORCH_INLINE Vec<double> gelu_erf_derivative(Vec<double> x) {
  const Vec<double> half(0.5), square = x * x, lost = fma(x, x, -square);
  const Vec<double> approximate = exp(-half * square), density = fnma(half * lost, approximate, approximate);
  return fma(x * density, Vec<double>(0.39894228040143268), normal_cdf(x));
}

// 2^32 e^(2u) for u = sqrt(2/pi) (x + 0.044715 x^3) and x <= 0. float: ULP 1.4; 0 from x = -10.92 down.
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
  const Vec<float> r2 = r * r, power = from_bits(shift_left<23>(bits(shifted)));
  constexpr float k = 0x1.2444f2p-4f;
  return fma(fma(exp_series(r, r2, k), r2, Vec<float>(k) * r), power, power);
}
RUSTTORCH_INLINE Vec<double> gelu_tanh_exponential(Vec<double> x) {
  const Vec<double> u = max_number(Vec<double>(-40.0), x);
  return exp(u * fma(u * u, Vec<double>(0.071354816272600249), Vec<double>(1.5957691216057308))) * Vec<double>(kRaised);
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

// x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3).
template <class V>
RUSTTORCH_INLINE V gelu_tanh_tail(V x) {  // any x
  return gated(x, gelu_tanh_exponential(negative_abs(x)));
}
RUSTTORCH_INLINE Vec<float> gelu_tanh(Vec<float> x) {
  if constexpr (!kPermutesTables) return gelu_tanh_tail(x);
  const Vec<float> end(kGate.end()), t = min_number(end, abs(x));
  const Vec<float> result = copysign(fnma(t, kGate(t), relu(x)), x);
  const Mask<float> tail = x < -end;  // above `end` the second term is below half a ULP
  return any(tail) ? select(tail, gelu_tanh_tail(x), result) : result;
}
RUSTTORCH_INLINE Vec<double> gelu_tanh(Vec<double> x) { return gelu_tanh_tail(x); }
// Its derivative.
template <class V>
RUSTTORCH_INLINE V gelu_tanh_derivative_tail(V x) {  // any x; slope = 2u'; from |x| = 40 on e = 0: no overflow
  const V t = min_number(V(40), abs(x));
  const V slope = fma(t * t, V(0.21406444881780075), V(1.5957691216057308));
  return gated_derivative(x, gelu_tanh_exponential(negative_abs(x)), slope);
}
RUSTTORCH_INLINE Vec<float> gelu_tanh_derivative(Vec<float> x) {
  if constexpr (!kPermutesTables) return gelu_tanh_derivative_tail(x);
  const Vec<float> end(kGateSlope.end()), t = abs(x);
  const Vec<float> result = mirrored(x, kGateSlope(min_number(end, t)));
  const Mask<float> tail = t > end;
  return any(tail) ? select(tail, gelu_tanh_derivative_tail(x), result) : result;
}
RUSTTORCH_INLINE Vec<double> gelu_tanh_derivative(Vec<double> x) { return gelu_tanh_derivative_tail(x); }

// log(1 + e^-|x|), as a summand of max(x, 0).
template <class V>
RUSTTORCH_INLINE V softplus_term_tail(V x) {  // any x
  return log1p_unit(exp_raised(negative_abs(x)) * V(kLowered));
}
RUSTTORCH_INLINE Vec<float> softplus_term(Vec<float> x) {
  if constexpr (!kPermutesTables) return softplus_term_tail(x);
  const Vec<float> end(kLogOfOnePlusExp.end()), t = abs(x), result = kLogOfOnePlusExp(min_number(end, t));
  const Mask<float> tail = t > end;
  return any(tail) ? select(tail, softplus_term_tail(x), result) : result;
}
RUSTTORCH_INLINE Vec<double> softplus_term(Vec<double> x) { return softplus_term_tail(x); }

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
