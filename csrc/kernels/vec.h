// The contract of Vec and Mask. vec_{scalar,avx2,avx512,neon}.h implement it, same functions, same order, inside
// namespace rusttorch::RUSTTORCH_ISA, so that a diff of two of them shows intrinsics only.
//
// Vec<T> holds `Vec<T>::lanes` values of T = float, double, int32_t or int64_t; Mask<T> one boolean per lane of Vec<T>.
// `Vec<float>::lanes == Vec<int32_t>::lanes`, `Vec<double>::lanes == Vec<int64_t>::lanes`.
//
// Memory (no alignment is assumed; `n` in [0, lanes]; lanes from n on read as zero and are not written)
//   Vec<T>::load(const T* p)                 Vec<T>::load(const T* p, int64_t n)
//   v.store(T* p)                            v.store(T* p, int64_t n)
//   Vec<float>::load(const bfloat16* p[, n]) and v.store(bfloat16* p[, n]): exact widening; rounds to nearest even,
//   and for const float16*/float16*          NaN stays NaN (quiet)
//   Vec<T>(T value)                          every lane = value (explicit)
//   Vec<float>::load_pair(const bfloat16* p, first, second) and store_pair(p, first, second): 2 * lanes elements at once,
//   distributed over the lanes in an order that is open, but the same for both
// Arithmetic
//   a + b  a - b  a * b                      integers wrap
//   a / b  -a                                floating point (integers: -a only)
//   fma(a, b, c)                             a*b + c, rounded once
//   fnma(a, b, c)                            c - a*b, rounded once
//   sqrt abs copysign(magnitude, sign)
//   round(v)                                 to integer, ties to even;  floor trunc likewise
//   minimum(a, b) maximum(a, b)              a NaN in either operand gives NaN
//   min_number(a, b) max_number(a, b)        one instruction; if either is NaN the result is b
// Compare and choose (ordered compares: a NaN makes them false, != true)
//   a < b  <=  >  >=  ==  !=                 -> Mask<T>;  masks combine with & | ^ ~
//   is_nan(v)                                -> Mask<T>;  either_is_nan(a, b): one instruction on x86
//   select(mask, yes, no)                    lane by lane
//   any(mask) all(mask)                      -> bool
//   first_set(mask)                          floating lanes: the first that is set, of which there must be one
//   first_lanes<T>(n)                        Mask with lanes [0, n) set
// Integer lanes and bits (Vec<int32_t> with float, Vec<int64_t> with double)
//   a & b  a | b  a ^ b  ~a                  integers
//   shift_left<k>(v) shift_right<k>(v)       integers; shift_right is logical, shift_right_arithmetic<k> keeps the sign
//   bits(Vec<float>) -> Vec<int32_t>         reinterpret;  from_bits(Vec<int32_t>) -> Vec<float>
//   to_int(v)                                nearest integer, ties to even; |v| < 2^31 (float), < 2^51 (double)
//   to_float(Vec<int32_t>) to_double(Vec<int64_t>)  exact for |v| < 2^24, < 2^51
//   to_doubles(v, out)                       floating v, Vec<double> (&out)[...]: its lanes in order, exact
//   scale(v, n)                              v * 2^n for integer-valued floating n, rounded once, |n| <= 300 (float) or
//                                            2200 (double): overflow to inf and gradual underflow included
//   divide_trunc(a, b) divide_floor(a, b)    Vec<int32_t>: exact; INT_MIN / -1 = INT_MIN; b = 0 gives anything, no trap
//   gather_table16(const float* table, Vec<int32_t> index)   table[index & 15]; small lookup tables
//   kPermutesTables                          whether that is one step of a register or two: then many cost as much as a formula
//   multiply_wide(a, b, low, high)           Vec<int32_t> as unsigned numbers: the halves of the 64-bit products
//   store_bytes(Mask<int32_t>, uint8_t* p)   a byte per lane, 1 or 0
//   load_bytes<T>(const uint8_t* p)          -> Mask<T>, T = float or double: the bytes that are not zero
// Across lanes (fixed order: halves, then halves of halves)
//   add_halves<n>(v)                         Vec<float>: lane i + lane i + n / 2, i < n / 2; the other lanes are anything
//   reduce_add(v) reduce_max(v)              reduce_max: any NaN gives NaN
//   reduce_max_number(v)                     floating point; with a NaN anything
//   reduce_add_rows(rows) reduce_max_number_rows(rows)   Vec of reduce_add(rows[k]), k < lanes; floating point
//   transpose(Vec<T> (&rows)[lanes])         floating point: lane j of row i and lane i of row j change places
#pragma once

#include "types.h"

#ifndef RUSTTORCH_INLINE  // tests of emulated kernels compile faster without
#define RUSTTORCH_INLINE inline __attribute__((always_inline))
#endif

#ifdef RUSTTORCH_ISA  // set by region_<isa>.h, which opens the target region and includes vec_<isa>.h
namespace rusttorch::RUSTTORCH_ISA {

template <class T>
struct Vec;
template <class T>
struct Mask;
template <int k>
void shift_left() = delete;  // makes the name known as a template before the overloads for Vec are declared

// scale() for ISAs without an instruction for it. 2^n is built by adding the bias in floating point and moving the low
// bits into the exponent. The step that can lose bits comes last: when an earlier, smaller step already rounds to a
// denormal, 2^-126 (2^-1022) or less still follows and the result is zero whatever that rounding did.
template <class T>
struct ScaleSteps;
template <>
struct ScaleSteps<float> {
  static constexpr float smallest = -126, largest = 127, bias = 12582912.0f + 127;  // 1.5 * 2^23 + exponent bias
  static constexpr int mantissa_bits = 23;
};
template <>
struct ScaleSteps<double> {
  static constexpr double smallest = -1022, largest = 1023, bias = 6755399441055744.0 + 1023;  // 1.5 * 2^52 + bias
  static constexpr int mantissa_bits = 52;
};

template <class T>
RUSTTORCH_INLINE Vec<T> power_of_two(Vec<T> n) {  // n integer-valued, in [smallest, largest]
  return from_bits(shift_left<ScaleSteps<T>::mantissa_bits>(bits(n + Vec<T>(ScaleSteps<T>::bias))));
}

// Reads v before what is read after this, as the caches expect that fetch ahead. Compilers read where they add: sums of 64
// MiB with AVX-512 ran at 30 to 37 GB/s, so at 44 to 52, as reading alone. ISAs without many registers leave it to them.
template <class V>
RUSTTORCH_INLINE void read_now(V&) {}

// Row by row, for ISAs without many registers.
template <class T>
RUSTTORCH_INLINE Vec<T> reduce_add_rows(const Vec<T> (&rows)[Vec<T>::lanes]) {
  T sums[Vec<T>::lanes];
  for (int k = 0; k < Vec<T>::lanes; ++k) sums[k] = reduce_add(rows[k]);
  return Vec<T>::load(sums);
}
template <class T>
RUSTTORCH_INLINE Vec<T> reduce_max_number_rows(const Vec<T> (&rows)[Vec<T>::lanes]) {
  T largest[Vec<T>::lanes];
  for (int k = 0; k < Vec<T>::lanes; ++k) largest[k] = reduce_max_number(rows[k]);
  return Vec<T>::load(largest);
}

template <class T>
RUSTTORCH_INLINE Vec<T> scale_in_steps(Vec<T> v, Vec<T> n) {
  const Vec<T> smallest(ScaleSteps<T>::smallest), largest(ScaleSteps<T>::largest);
  const Vec<T> last = min_number(max_number(n, smallest), largest);
  const Vec<T> rest = n - last;
  const Vec<T> middle = min_number(max_number(rest, smallest), largest);
  return v * power_of_two(rest - middle) * power_of_two(middle) * power_of_two(last);
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
