// Elementwise losses of an input x and a target y. One row per loss: X(name, Functor).
//
//   mse_loss                          d^2, d = x - y                        slope  2 d
//   l1_loss                           |d|                                   slope  sign(d)
//   smooth_l1_loss                    d^2 / 2 beta  where |d| < beta,       slope  d / beta  where |d| < beta,
//                                     |d| - beta / 2  elsewhere                    sign(d)  elsewhere
//   huber_loss                        d^2 / 2  where |d| < delta,           slope  d  where |d| <= delta,
//                                     delta (|d| - delta / 2)  elsewhere           delta sign(d)  elsewhere
//   binary_cross_entropy              -y log x - (1 - y) log(1 - x), each   slope  (x - y) / max((1 - x) x, 1e-12f)
//                                     logarithm at least -100
//   binary_cross_entropy_with_logits  max(x, 0) - x y + log(1 + e^-|x|)     slope  sigmoid(x) - y
//
// Factors of the elements (weight) scale losses and slopes. binary_cross_entropy_with_logits also has one, p, of the
// target (pos_weight), with l = 1 - y + p y:
//   loss  l log(1 + e^-|x|) + x (1 - y)  where x >= 0,                          slope  l sigmoid(x) - p y
//         l log(1 + e^-|x|) - x p y  elsewhere
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

namespace rusttorch {

// The arrays that a loss reads. Without factors `weight` is null; with them, pos_weight is read by
// binary_cross_entropy_with_logits alone.
struct LossInputs {
  const void* input;
  const void* target;
  const void* weight = nullptr;
  const void* pos_weight = nullptr;
};

}  // namespace rusttorch

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

// a = beta, of a size whose inverse is normal; slopes also for 0. Multiplying by the inverse instead of dividing costs
// one rounding. With m = min(|d|, beta) both branches are (m / beta) (|d| - m / 2): two instructions less than a choice.
template <class V>
struct SmoothAbsoluteError : DefinedEverywhere {
  using T = Lane<V>;
  V beta, inverse;
  explicit RUSTTORCH_INLINE SmoothAbsoluteError(const Parameters& p)
      : beta(T(p.a)), inverse(p.a > 0 ? T(1 / p.a) : T(0)) {}
  RUSTTORCH_INLINE V loss(V x, V y) {
    const V t = abs(x - y), m = min_number(beta, t);  // of a NaN, t
    return m * inverse * fnma(V(T(0.5)), m, t);
  }
  RUSTTORCH_INLINE V slope(V x, V y) const {
    const V d = x - y;
    // PyTorch's slope at 0 for beta = 0 is -1.
    return select(abs(d) >= beta, select(d > V(0), V(1), V(-1)), d * inverse);
  }
};

// a = delta > 0. With m = min(|d|, delta) both branches are m (|d| - m / 2).
template <class V>
struct Huber : DefinedEverywhere {
  using T = Lane<V>;
  V delta;
  explicit RUSTTORCH_INLINE Huber(const Parameters& p) : delta(T(p.a)) {}
  RUSTTORCH_INLINE V loss(V x, V y) {
    const V t = abs(x - y), m = min_number(delta, t);  // of a NaN, t
    return m * fnma(V(T(0.5)), m, t);
  }
  RUSTTORCH_INLINE V slope(V x, V y) const {
    const V d = x - y;
    return select(d < -delta, -delta, select(d > delta, delta, d));
  }
};

// max(log(z), -100), given z in [0, 1] rounded, to choose the exponent by: z = x, or z = 1 - x where `of_rest` has all bits set.
// With p = 2^-e, log z = log(1 + f) - log p for f = x p - 1, or f = -x p + (p - 1), rounded once each, f in [-0.293, 0.415).
// Relative error 2.7 * 2^-24, of which 0.31 is the polynomial's. log() and log1p() cost twice as much. By a table of 16
// intervals and a polynomial of half the degree: 1.2 of this on AVX2, where a look-up is three instructions.
RUSTTORCH_INLINE Vec<float> clamped_log(Vec<float> z, Vec<float> x, Vec<int32_t> of_rest) {
  const Vec<float> one(1.0f), signed_x = from_bits(bits(x) ^ (of_rest & Vec<int32_t>(INT32_MIN)));
  const Vec<int32_t> e = shift_right_arithmetic<23>(bits(z) - Vec<int32_t>(0x3f3504f3));  // sqrt(1/2)
  const Vec<float> power = from_bits(bits(one) - shift_left<23>(e));
  const Vec<float> f = fma(signed_x, power, from_bits(bits(power) & of_rest) - one);
  const Vec<float> f2 = f * f;
  const Vec<float> low = polynomial(f, f2, -0x1.ffffc8p-2f, 0x1.555798p-2f, -0x1.000efep-2f, 0x1.98b5ccp-3f);
  const Vec<float> high = polynomial(f, f2, -0x1.51fbd4p-3f, 0x1.316d8ep-3f, -0x1.2cb0bap-3f, 0x1.768c44p-4f);
  const Vec<float> result = fma(to_float(e), Vec<float>(0x1.62e430p-1f), fma(fma(high, f2 * f2, low), f2, f));
  const Mask<float> small = z < Vec<float>(0x1p-126f);
  return any(small) ? select(small, max_number(log(z), Vec<float>(-100.0f)), result) : result;
}

// -y log(x) - (1 - y) log(1 - x), and whether y is in [0, 1].
RUSTTORCH_INLINE Vec<float> cross_entropy_of_two(Vec<float> x, Vec<float> y, Mask<float>& inside) {
  const Vec<float> zero(0.0f), one(1.0f), rest = one - x;
  const Mask<float> is_zero = y == zero;
  // Labels of 0 and 1, as most are, need one logarithm. The same bits as below.
  if (all(is_zero | (y == one))) {
    const Vec<int32_t> of_rest = bits(select(is_zero, from_bits(Vec<int32_t>(-1)), zero));
    return zero - clamped_log(select(is_zero, rest, x), x, of_rest);
  }
  inside = inside & (y >= zero) & (y <= one);
  const Vec<float> log_of_rest = clamped_log(rest, x, Vec<int32_t>(-1));
  return zero - fma(y, clamped_log(x, x, Vec<int32_t>(0)), (one - y) * log_of_rest);
}
RUSTTORCH_INLINE Vec<double> cross_entropy_of_two(Vec<double> x, Vec<double> y, Mask<double>& inside) {
  const Vec<double> zero(0.0), one(1.0), least(-100.0);
  inside = inside & (y >= zero) & (y <= one);
  return zero - fma(y, max_number(log(x), least), (one - y) * max_number(log1p(-x), least));
}

template <class V>
struct BinaryCrossEntropy {
  using T = Lane<V>;
  Mask<T> inside = V(0) == V(0);
  explicit RUSTTORCH_INLINE BinaryCrossEntropy(const Parameters&) {}
  RUSTTORCH_INLINE bool was_defined() const { return all(inside); }
  RUSTTORCH_INLINE V loss(V x, V y) {
    inside = inside & (x >= V(T(0))) & (x <= V(T(1)));
    return cross_entropy_of_two(x, y, inside);
  }
  RUSTTORCH_INLINE V slope(V x, V y) const { return (x - y) / maximum((V(T(1)) - x) * x, V(T(1e-12f))); }
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
  // 1 - y + p y keeps its digits where p is small; PyTorch's (p - 1) y + 1 does not. For y in [0, 1] and p >= 0 no two
  // terms have different signs.
  RUSTTORCH_INLINE V loss(V x, V y, V p) {
    const V zero(T(0)), lowest(-std::numeric_limits<T>::infinity()), nan(std::numeric_limits<T>::quiet_NaN());
    const V rest = V(T(1)) - y, py = p * y;
    const V result = fma(x, select(x < zero, -py, rest), fma(p, y, rest) * softplus_term(x));
    return select(x == lowest, nan, result);
  }
  RUSTTORCH_INLINE V slope(V x, V y, V p) const { return fma(fma(p, y, V(T(1)) - y), sigmoid(x), -(p * y)); }
};

template <class F, class V>
constexpr bool has_pos_weight = requires(F f, V v) { f.loss(v, v, v); };

// Typed pointers of LossInputs, and vectors of losses and slopes from element i on, with their factors.
template <class T, class F, bool weighted>
struct LossOperands {
  using V = Vec<Compute<T>>;
  static constexpr bool of_targets = weighted && has_pos_weight<F, V>;
  const T *input, *target, *weight, *pos_weight;
  mutable F functor;
  RUSTTORCH_INLINE LossOperands(const LossInputs& in, const Parameters& parameters)
      : input(static_cast<const T*>(in.input)),
        target(static_cast<const T*>(in.target)),
        weight(static_cast<const T*>(in.weight)),
        pos_weight(static_cast<const T*>(in.pos_weight)),
        functor(parameters) {}

  RUSTTORCH_INLINE V loss(V x, V y, V w, V p) const {
    if constexpr (of_targets) return functor.loss(x, y, p) * w;
    else if constexpr (weighted) return functor.loss(x, y) * w;
    else return functor.loss(x, y);
  }
  RUSTTORCH_INLINE V slope(V x, V y, V w, V p) const {
    if constexpr (of_targets) return functor.slope(x, y, p) * w;
    else if constexpr (weighted) return functor.slope(x, y) * w;
    else return functor.slope(x, y);
  }
  template <int count>
  RUSTTORCH_INLINE void load(int64_t i, V (&x)[count], V (&y)[count], V (&w)[count], V (&p)[count]) const {
    load_block(input + i, x);
    load_block(target + i, y);
    if constexpr (weighted) load_block(weight + i, w);
    if constexpr (of_targets) load_block(pos_weight + i, p);
  }
  RUSTTORCH_INLINE V part(const T* array, int64_t i, int64_t n) const { return V::load(array + i, n); }
  RUSTTORCH_INLINE V weight_part(int64_t i, int64_t n) const {
    if constexpr (weighted) return part(weight, i, n);
    else return V(Compute<T>(0));
  }
  RUSTTORCH_INLINE V pos_weight_part(int64_t i, int64_t n) const {
    if constexpr (of_targets) return part(pos_weight, i, n);
    else return V(Compute<T>(0));
  }
  template <int count>
  RUSTTORCH_INLINE void losses(int64_t i, V (&x)[count]) const {
    V y[count], w[count], p[count];
    load(i, x, y, w, p);
    for (int k = 0; k < count; ++k) x[k] = loss(x[k], y[k], w[k], p[k]);
  }
  template <int count>
  RUSTTORCH_INLINE void slopes(int64_t i, V (&x)[count]) const {
    V y[count], w[count], p[count];
    load(i, x, y, w, p);
    for (int k = 0; k < count; ++k) x[k] = slope(x[k], y[k], w[k], p[k]);
  }
  RUSTTORCH_INLINE V losses(int64_t i, int64_t n) const {
    return loss(part(input, i, n), part(target, i, n), weight_part(i, n), pos_weight_part(i, n));
  }
  RUSTTORCH_INLINE V slopes(int64_t i, int64_t n) const {
    return slope(part(input, i, n), part(target, i, n), weight_part(i, n), pos_weight_part(i, n));
  }
};

template <class T, class Operands>
struct LossBody {
  using V = Vec<Compute<T>>;
  T* out;
  Operands operands;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V losses[count];
    operands.losses(i, losses);
    store_block(out + i, losses);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const { operands.losses(i, n).store(out + i, n); }
};

// What is added. A loss of two zeros need not be zero.
template <class T, class Operands>
struct LossTerms {
  using V = Vec<Compute<T>>;
  Operands operands;
  RUSTTORCH_INLINE V whole(int64_t i) const {
    V losses[1];
    operands.losses(i, losses);
    return losses[0];
  }
  RUSTTORCH_INLINE V part(int64_t i, int64_t n) const {
    return select(first_lanes<Compute<T>>(n), operands.losses(i, n), V(Compute<T>(0)));
  }
};

template <class T, class Operands, class Grad>
struct LossBackwardBody {
  using V = Vec<Compute<T>>;
  T* grad_input;
  Grad grad_output;
  Operands operands;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V slopes[count], grad[count];
    operands.slopes(i, slopes);
    grad_output.block(i, grad);
    for (int k = 0; k < count; ++k) slopes[k] = slopes[k] * grad[k];
    store_block(grad_input + i, slopes);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    (operands.slopes(i, n) * grad_output.part(i, n)).store(grad_input + i, n);
  }
};

template <class T, class F, bool weighted>
RUSTTORCH_INLINE bool loss_map_loop(T* out, const LossInputs& in, int64_t n, const Parameters& parameters) {
  const LossBody<T, LossOperands<T, F, weighted>> body{out, {in, parameters}};
  for_each_vector<2, Vec<Compute<T>>::lanes>(n, body);
  return body.operands.functor.was_defined();
}
// out[i] = loss of element i: LossKernel of table.h. `out` may be an input.
template <class T, template <class> class Functor>
bool loss_map(void* out, const LossInputs& in, int64_t n, const Parameters& parameters) {
  using F = Functor<Vec<Compute<T>>>;
  T* const to = static_cast<T*>(out);
  return in.weight ? loss_map_loop<T, F, true>(to, in, n, parameters)
                   : loss_map_loop<T, F, false>(to, in, n, parameters);
}

template <class T, class F, bool weighted>
RUSTTORCH_INLINE bool loss_sum_loop(double* sums, const LossInputs& in, int64_t n, bool from_memory,
                                    const Parameters& parameters) {
  const LossTerms<T, LossOperands<T, F, weighted>> terms{{in, parameters}};
  using C = Compute<T>;
  const int64_t pieces = n / kSumPiece<C>, rest = pieces * kSumPiece<C>;
  sums_of_rows<C>(terms, pieces, kSumPiece<C>, from_memory, sums);
  if (rest < n) sums[pieces] = sum_of_piece<C>(terms, rest, n);
  return terms.operands.functor.was_defined();
}
// The sums of the same: LossSumKernel.
template <class T, template <class> class Functor>
bool loss_sum(double* sums, const LossInputs& in, int64_t n, bool from_memory, const Parameters& parameters) {
  using F = Functor<Vec<Compute<T>>>;
  return in.weight ? loss_sum_loop<T, F, true>(sums, in, n, from_memory, parameters)
                   : loss_sum_loop<T, F, false>(sums, in, n, from_memory, parameters);
}

template <class T, class F, bool weighted, class Grad>
RUSTTORCH_INLINE void loss_backward_loop(void* grad_input, const Grad& grad_output, const LossInputs& in, int64_t n,
                                         const Parameters& parameters) {
  const LossBackwardBody<T, LossOperands<T, F, weighted>, Grad> body{
      static_cast<T*>(grad_input), grad_output, {in, parameters}};
  for_each_vector<2, Vec<Compute<T>>::lanes>(n, body);
}
template <class T, class F, bool weighted>
RUSTTORCH_INLINE void loss_backward_by(void* grad_input, const void* grad_output, const LossInputs& in, int64_t n,
                                       const Parameters& parameters) {
  if (grad_output) {
    const WholeArray<T> array(grad_output, 1);
    return loss_backward_loop<T, F, weighted>(grad_input, array, in, n, parameters);
  }
  const Compute<T> value = static_cast<Compute<T>>(parameters.c);
  const Broadcast<T> number(&value, kScalarStep);
  loss_backward_loop<T, F, weighted>(grad_input, number, in, n, parameters);
}
// grad_input[i] = slope of element i * grad_output[i], or * c without an array: LossBackwardKernel. `grad_input` may be
// any of the others.
template <class T, template <class> class Functor>
void loss_backward(void* grad_input, const void* grad_output, const LossInputs& in, int64_t n,
                   const Parameters& parameters) {
  using F = Functor<Vec<Compute<T>>>;
  if (in.weight) loss_backward_by<T, F, true>(grad_input, grad_output, in, n, parameters);
  else loss_backward_by<T, F, false>(grad_input, grad_output, in, n, parameters);
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
