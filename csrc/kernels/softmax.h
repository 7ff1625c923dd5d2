// Softmax family. One row per kernel: X(name, Functor).
//
//   softmax       y = e^(x - max) / sum(e^(x - max))          gradient  y (g - sum(g y))
//   log_softmax   y = (x - max) - log(sum(e^(x - max)))       gradient  g - e^y sum(g)
//
// along rows (softmax_rows.h) or down columns (softmax_columns.h). Meaning as in PyTorch: a NaN or +inf, or nothing but
// -inf, makes all of its row NaN. bfloat16 and float16 are computed in float32 and rounded once, at the store.
// Error against the real value: softmax 5 ULP, and half the last place of x - max, which is rounded as in PyTorch;
// log_softmax 1.5 last places of |result| + 1. Largest of tests/cpp/test_softmax.cpp: 4.4 and 1.41.
#pragma once

#define RUSTTORCH_SOFTMAX(X) \
  X(softmax, Softmax)        \
  X(log_softmax, LogSoftmax)

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "map.h"
#include "math_double.h"
#include "math_float.h"

namespace rusttorch::RUSTTORCH_ISA {

// Exponentials are kept multiplied by 2^exponential_shift: so the small ones are normal numbers and the result rounds
// once.
template <class T>
constexpr int exponential_shift = std::is_same_v<T, double> ? 64 : 32;

RUSTTORCH_INLINE Vec<double> shifted_exponential(Vec<double> x, Vec<double> max) {
  return exp_shifted<exponential_shift<double>>(x - max);
}
RUSTTORCH_INLINE Vec<float> shifted_exponential(Vec<float> x, Vec<float> max) {
  return exp_by_table<exponential_shift<float>>(x - max);
}

// The real value of something shifted.
template <class V>
RUSTTORCH_INLINE V unshifted(V v) {
  constexpr Lane<V> step = Lane<V>(1) / Lane<V>(int64_t(1) << 32);
  v = v * V(step);
  if constexpr (exponential_shift<Lane<V>> == 64) v = v * V(step);
  return v;
}

// What the loops below need of each member of the family. `sum` is that of the shifted exponentials.
template <class V>
struct Softmax {
  static constexpr bool from_exponentials =
      true;  // the result is made from the exponentials, so they are worth keeping
  static RUSTTORCH_INLINE V factor(V sum) { return V(1) / sum; }
  static RUSTTORCH_INLINE V result(V exponential, V factor) { return exponential * factor; }
  static RUSTTORCH_INLINE V result(V x, V max, V factor) { return shifted_exponential(x, max) * factor; }

  static RUSTTORCH_INLINE V add_term(V sum, V grad_output, V output) { return fma(grad_output, output, sum); }
  static RUSTTORCH_INLINE V gradient(V grad_output, V output, V sum) { return output * (grad_output - sum); }
};

template <class V>
struct LogSoftmax {
  static constexpr bool from_exponentials = false;
  static RUSTTORCH_INLINE V factor(V sum) { return log(unshifted(sum)); }
  static RUSTTORCH_INLINE V result(V x, V max, V factor) { return (x - max) - factor; }

  static RUSTTORCH_INLINE V add_term(V sum, V grad_output, V) { return sum + grad_output; }
  static RUSTTORCH_INLINE V gradient(V grad_output, V output, V sum) { return fnma(exp(output), sum, grad_output); }
};

// The order of summation, the same for rows and columns and on every ISA: element i goes to accumulator i mod 16
// (double: i mod 8), that is, one cache line of them. After every kBlock elements the accumulators are added by halves,
// their sum goes to a total that keeps what rounding loses, and they restart from zero. So an accumulator adds at most
// 16 values plainly.
template <class T>
constexpr int kAccumulators = 64 / int(sizeof(T));
template <class T>
constexpr int kBlock = 16 * kAccumulators<T>;

template <class V>
struct Total {
  V sum, lost;
};
template <class V>
RUSTTORCH_INLINE void add_to_total(Total<V>& total, V value) {  // two-sum
  const V sum = total.sum + value, back = sum - total.sum;
  total.lost = total.lost + ((total.sum - (sum - back)) + (value - back));
  total.sum = sum;
}
// An infinite sum has lost NaN; the sum itself is right.
template <class V>
RUSTTORCH_INLINE V value_of(Total<V> total) {
  return total.sum + select(is_nan(total.lost), V(0), total.lost);
}

template <class V, int count>
RUSTTORCH_INLINE V add_by_halves(V (&v)[count]) {
#pragma GCC unroll 4
  for (int half = count / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) v[k] = v[k] + v[k + half];
  }
  return v[0];
}

}  // namespace rusttorch::RUSTTORCH_ISA

#include "softmax_columns.h"
#include "softmax_rows.h"
#endif
