// Elementwise losses of an input x and a target y. One row per loss: X(name, Functor).
//
//   mse_loss                          d^2, d = x - y                        slope  2 d
//   l1_loss                           |d|                                   slope  sign(d)
//   smooth_l1_loss                    d^2 / 2 beta  where |d| < beta,       slope  d / beta  where |d| < beta,
//                                     |d| - beta / 2  elsewhere                    sign(d)  elsewhere
//   huber_loss                        d^2 / 2  where |d| < delta,           slope  d  where |d| <= delta,
//                                     delta (|d| - delta / 2)  elsewhere           delta sign(d)  elsewhere
//   binary_cross_entropy              -y log x - (1 - y) log(1 - x), each   slope  (x - y) / max((1 - x) x, 1e-12)
//                                     logarithm at least -100
//   binary_cross_entropy_with_logits  max(x, 0) - x y + log(1 + e^-|x|)     slope  sigmoid(x) - y
//
// Meaning as in PyTorch. binary_cross_entropy is defined for x and y in [0, 1] alone: a kernel says whether it met any
// others, NaN among them. bfloat16 and float16 are computed in float32 and rounded once.
// Error of a loss in units of relative 2^-24 (double: 2^-53): difference 1, square 3, with a factor 5;
// binary_cross_entropy 8; with logits 6 for y in [0, 1], where no two terms have different signs.
#pragma once

#define RUSTTORCH_LOSSES(X)                   \
  X(mse_loss, SquaredError)                   \
  X(l1_loss, AbsoluteError)                   \
  X(smooth_l1_loss, SmoothAbsoluteError)      \
  X(huber_loss, Huber)                        \
  X(binary_cross_entropy, BinaryCrossEntropy) \
  X(binary_cross_entropy_with_logits, LogisticCrossEntropy)

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "activation_math.h"
#include "map.h"
#include "summation.h"
#include "types.h"

namespace rusttorch::RUSTTORCH_ISA {

// For losses that are defined everywhere.
struct DefinedEverywhere {
  RUSTTORCH_INLINE bool was_defined() const { return true; }
};

template <class V>
struct SquaredError : DefinedEverywhere {
  explicit RUSTTORCH_INLINE SquaredError(const Parameters&) {}
  RUSTTORCH_INLINE V loss(V x, V y) {
    const V d = x - y;
    return d * d;
  }
  RUSTTORCH_INLINE V slope(V x, V y) const { return V(2) * (x - y); }
};

// -1, 0 or 1; 0 for NaN, as in PyTorch.
template <class V>
RUSTTORCH_INLINE V sign(V d) {
  return select(d > V(0), V(1), select(d < V(0), V(-1), V(0)));
}

template <class V>
struct AbsoluteError : DefinedEverywhere {
  explicit RUSTTORCH_INLINE AbsoluteError(const Parameters&) {}
  RUSTTORCH_INLINE V loss(V x, V y) { return abs(x - y); }
  RUSTTORCH_INLINE V slope(V x, V y) const { return sign(x - y); }
};

// a = beta: 0, or of a size whose inverse is normal. Multiplying by it instead of dividing costs one rounding.
template <class V>
struct SmoothAbsoluteError : DefinedEverywhere {
  using T = Lane<V>;
  V beta, half, inverse;
  explicit RUSTTORCH_INLINE SmoothAbsoluteError(const Parameters& p)
      : beta(T(p.a)), half(T(0.5 * p.a)), inverse(p.a > 0 ? T(1 / p.a) : T(0)) {}
  RUSTTORCH_INLINE V loss(V x, V y) {
    const V t = abs(x - y);
    return select(t < beta, V(T(0.5)) * t * t * inverse, t - half);
  }
  RUSTTORCH_INLINE V slope(V x, V y) const {
    const V d = x - y;
    // PyTorch's slope at 0 for beta = 0 is -1.
    return select(abs(d) >= beta, select(d > V(0), V(1), V(-1)), d * inverse);
  }
};

// a = delta > 0.
template <class V>
struct Huber : DefinedEverywhere {
  using T = Lane<V>;
  V delta, half;
  explicit RUSTTORCH_INLINE Huber(const Parameters& p) : delta(T(p.a)), half(T(0.5 * p.a)) {}
  RUSTTORCH_INLINE V loss(V x, V y) {
    const V t = abs(x - y);
    return select(t < delta, V(T(0.5)) * t * t, delta * (t - half));
  }
  RUSTTORCH_INLINE V slope(V x, V y) const {
    const V d = x - y;
    return select(d < -delta, -delta, select(d > delta, delta, d));
  }
};

template <class V>
struct BinaryCrossEntropy {
  using T = Lane<V>;
  Mask<T> inside = V(0) == V(0);
  explicit RUSTTORCH_INLINE BinaryCrossEntropy(const Parameters&) {}
  RUSTTORCH_INLINE bool was_defined() const { return all(inside); }
  RUSTTORCH_INLINE V loss(V x, V y) {
    const V zero(T(0)), one(T(1)), lowest(T(-100));
    inside = inside & (x >= zero) & (x <= one) & (y >= zero) & (y <= one);
    const V of_one = max_number(log(x), lowest), of_zero = max_number(log1p(-x), lowest);
    return fnma(y, of_one, (y - one) * of_zero);
  }
  RUSTTORCH_INLINE V slope(V x, V y) const { return (x - y) / maximum((V(T(1)) - x) * x, V(T(1e-12))); }
};

template <class V>
struct LogisticCrossEntropy : DefinedEverywhere {
  using T = Lane<V>;
  explicit RUSTTORCH_INLINE LogisticCrossEntropy(const Parameters&) {}
  RUSTTORCH_INLINE V loss(V x, V y) {
    // PyTorch computes inf - inf for x = -inf.
    const V zero(T(0)), lowest(-std::numeric_limits<T>::infinity()), nan(std::numeric_limits<T>::quiet_NaN());
    const V result = fma(x, select(x < zero, -y, V(T(1)) - y), softplus_term(x));
    return select(x == lowest, nan, result);
  }
  RUSTTORCH_INLINE V slope(V x, V y) const { return sigmoid(x) - y; }
};

template <class T, class F>
struct LossBody {
  using V = Vec<Compute<T>>;
  T* out;
  const T* input;
  const T* target;
  F functor;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) {
    V x[count], y[count];
    load_block(input + i, x);
    load_block(target + i, y);
    for (int k = 0; k < count; ++k) x[k] = functor.loss(x[k], y[k]);
    store_block(out + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) {
    functor.loss(V::load(input + i, n), V::load(target + i, n)).store(out + i, n);
  }
};

// What ordered_sum adds. A loss of two zeros need not be zero.
template <class T, class F>
struct LossTerms {
  using V = Vec<Compute<T>>;
  const T* input;
  const T* target;
  mutable F functor;
  RUSTTORCH_INLINE V whole(int64_t i) const { return functor.loss(V::load(input + i), V::load(target + i)); }
  RUSTTORCH_INLINE V part(int64_t i, int64_t n) const {
    const V terms = functor.loss(V::load(input + i, n), V::load(target + i, n));
    return select(first_lanes<Compute<T>>(n), terms, V(Compute<T>(0)));
  }
};

template <class T, class F, class Grad>
struct LossBackwardBody {
  using V = Vec<Compute<T>>;
  T* grad_input;
  Grad grad_output;
  const T* input;
  const T* target;
  F functor;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V x[count], y[count], grad[count];
    load_block(input + i, x);
    load_block(target + i, y);
    grad_output.block(i, grad);
    for (int k = 0; k < count; ++k) x[k] = functor.slope(x[k], y[k]) * grad[k];
    store_block(grad_input + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    const V slope = functor.slope(V::load(input + i, n), V::load(target + i, n));
    (slope * grad_output.part(i, n)).store(grad_input + i, n);
  }
};

// out[i] = loss(input[i], target[i]): LossKernel of table.h.
template <class T, template <class> class Functor>
bool loss_map(void* out, const void* input, const void* target, int64_t n, const Parameters& parameters) {
  using V = Vec<Compute<T>>;
  using F = Functor<V>;
  LossBody<T, F> body{static_cast<T*>(out), static_cast<const T*>(input), static_cast<const T*>(target), F(parameters)};
  for_each_vector<2, V::lanes>(n, body);
  return body.functor.was_defined();
}

// sum = that of loss(input[i], target[i]): LossSumKernel.
template <class T, template <class> class Functor>
bool loss_sum(double* sum, const void* input, const void* target, int64_t n, const Parameters& parameters) {
  using F = Functor<Vec<Compute<T>>>;
  const LossTerms<T, F> terms{static_cast<const T*>(input), static_cast<const T*>(target), F(parameters)};
  *sum = ordered_sum<Compute<T>>(terms, n);
  return terms.functor.was_defined();
}

// grad_input[i] = slope(input[i], target[i]) * grad_output[i], or * c without an array: LossBackwardKernel.
template <class T, template <class> class Functor>
void loss_backward(void* grad_input, const void* grad_output, const void* input, const void* target, int64_t n,
                   const Parameters& parameters) {
  using V = Vec<Compute<T>>;
  using F = Functor<V>;
  T* const to = static_cast<T*>(grad_input);
  const T *const x = static_cast<const T*>(input), *const y = static_cast<const T*>(target);
  if (grad_output) {
    const LossBackwardBody<T, F, WholeArray<T>> body{to, {grad_output, 1}, x, y, F(parameters)};
    return for_each_vector<2, V::lanes>(n, body);
  }
  const Compute<T> number = static_cast<Compute<T>>(parameters.c);
  const LossBackwardBody<T, F, Broadcast<T>> body{to, {&number, kScalarStep}, x, y, F(parameters)};
  for_each_vector<2, V::lanes>(n, body);
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
