// Smooth functions of t in [0, end()] as 16 polynomials, whose coefficients a permutation of registers looks up: half to a
// third of the multiply-adds of an exponential and a series, and no division. Callers look first whether a lane needs more
// than end(), which inputs of activations hardly ever do, and compute that lane another way: what a lane gets must not
// depend on its neighbours.
//
// On Zen 4 a look-up and a multiply-add share a port: 1.4 cycles a pair, 14 for a polynomial of degree 7 and its interval,
// where the exponential alone takes 12: gelu takes 0.65 of its other form, softplus 0.7. AVX2, where a look-up is three
// instructions, keeps that form (kPermutesTables): on Zen 3, gelu by tables takes 2 times as long. Tried and even: twice as
// many intervals, which save one of 8 pairs but need tables of two registers and a move each; Horner's and Estrin's schemes.
// Tried and lost on AVX2 (1.2 to 1.3): sigmoid and silu, whose other form is short.
#pragma once
#include "math_float.h"

#ifdef RUSTTORCH_ISA
namespace rusttorch::RUSTTORCH_ISA {

template <int degree>
struct Piecewise {
  static_assert(degree == 6 || degree == 7);
  // Interval j is [j - 1/2, j + 1/2] * step. Its polynomial is one in u = t - (j + 1/2) * step <= 0: these functions fall
  // like exponentials, so all terms have one sign, and no rounding error grows by cancellation (from the centre: 3 ULP).
  float step;
  float c[degree + 1][16];
  constexpr float end() const { return 15.49f * step; }
  RUSTTORCH_INLINE Vec<float> operator()(Vec<float> t) const {
    const Vec<float> magic(kIntegerMagic), shifted = fma(t, Vec<float>(1 / step), magic);
    const Vec<int32_t> j = bits(shifted);  // in the low bits
    const Vec<float> u = fnma(shifted - magic, Vec<float>(step), t) - Vec<float>(step / 2);
    // By Horner's scheme in u2, and the constant last: it has no rounding error in front of it but that of `rest`.
    const Vec<float> u2 = u * u;
    Vec<float> rest = pair(5, j, u);
    if constexpr (degree == 7) rest = fma(gather_table16(c[7], j), u2, rest);
    rest = fma(fma(rest, u2, pair(3, j, u)), u2, pair(1, j, u));
    return fma(rest, u, gather_table16(c[0], j));
  }
  RUSTTORCH_INLINE Vec<float> pair(int power, Vec<int32_t> j, Vec<float> u) const {  // c_power + c_(power + 1) u
    return fma(gather_table16(c[power + 1], j), u, gather_table16(c[power], j));
  }
};

}  // namespace rusttorch::RUSTTORCH_ISA

#include "piecewise_tables.h"
#endif
