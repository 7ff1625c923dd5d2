// Activations. One row per kernel: X(name, Functor). The list serves the table, the tests and the benches.
#pragma once

#define RUSTTORCH_ACTIVATIONS(X) \
  X(relu, Relu)                  \
  X(leaky_relu, LeakyRelu)       \
  X(elu, Elu)                    \
  X(gelu_erf, GeluErf)           \
  X(gelu_tanh, GeluTanh)         \
  X(sigmoid, Sigmoid)            \
  X(tanh, Tanh)                  \
  X(softplus, Softplus)          \
  X(softsign, Softsign)          \
  X(silu, Silu)                  \
  X(mish, Mish)

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "activation_math.h"

namespace rusttorch::RUSTTORCH_ISA {

// V is Vec<float> or Vec<double>. `saved` in backward is the result for relu, sigmoid, tanh and for elu with
// parameters.integer = 1, the input for all others. Formulas and edge values are PyTorch's. ULP as in math_float.h, for
// float, denormal results included; in [] that of backward, relative to the larger of two summands that cancel.

template <class V>
struct Relu {  // x < 0 ? 0 : x; NaN and -0 pass
  explicit Relu(const Parameters&) {}
  RUSTTORCH_INLINE V forward(V x) const { return relu(x); }
  RUSTTORCH_INLINE V backward(V grad_output, V result) const {  // NaN passes the gradient
    return select(result <= V(0), V(0), grad_output);
  }
};

template <class V>
struct LeakyRelu {  // a = negative_slope
  V slope;
  explicit LeakyRelu(const Parameters& p) : slope(p.a) {}
  RUSTTORCH_INLINE V forward(V x) const { return select(x > V(0), x, x * slope); }
  RUSTTORCH_INLINE V backward(V grad_output, V x) const { return select(x > V(0), grad_output, grad_output * slope); }
};

// x < 0 ? scale alpha (e^(x input_scale) - 1) : scale x. a = alpha, b = scale, c = input_scale, which must be positive;
// integer = 1: `saved` is the result. selu is elu with its constants. ULP 1 (0.985) [2: 1.04], selu 2 (1.89) [3: 1.84].
template <class V>
struct Elu {
  V positive, negative, input_scale, slope_scale;
  bool is_result;
  explicit Elu(const Parameters& p)
      : positive(p.b),
        negative(p.a * p.b),
        input_scale(p.c),
        slope_scale(p.a * p.b * p.c * kLowered),
        is_result(p.integer == 1) {}
  RUSTTORCH_INLINE V forward(V x) const {
    return select(x < V(0), expm1_nonpositive(x * input_scale) * negative, x * positive);
  }
  RUSTTORCH_INLINE V backward(V grad_output, V saved) const {  // NaN takes the side of the exponential
    V slope;
    if (is_result) slope = (saved + negative) * input_scale;
    else slope = exp_raised(saved * input_scale) * slope_scale;
    return grad_output * select(saved > V(0), positive, slope);
  }
};

template <class V>
struct GeluErf {  // x Phi(x). ULP 4 (2.73) [4: 2.18]
  explicit GeluErf(const Parameters&) {}
  RUSTTORCH_INLINE V forward(V x) const { return gelu_erf(x); }
  RUSTTORCH_INLINE V backward(V grad_output, V x) const { return grad_output * gelu_erf_derivative(x); }
};

// x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3): equal to x (1 + tanh u) / 2, but accurate for x < 0. ULP 4 (2.63)
// [6: 3.97].
template <class V>
struct GeluTanh {
  explicit GeluTanh(const Parameters&) {}
  RUSTTORCH_INLINE V forward(V x) const { return gelu_tanh(x); }
  RUSTTORCH_INLINE V backward(V grad_output, V x) const { return grad_output * gelu_tanh_derivative(x); }
};

template <class V>
struct Sigmoid {  // ULP 2 (1.999)
  explicit Sigmoid(const Parameters&) {}
  RUSTTORCH_INLINE V forward(V x) const { return sigmoid(x); }
  RUSTTORCH_INLINE V backward(V grad_output, V result) const { return grad_output * (V(1) - result) * result; }
};

template <class V>
struct Tanh {  // ULP 1 (0.988)
  explicit Tanh(const Parameters&) {}
  RUSTTORCH_INLINE V forward(V x) const { return tanh(x); }
  RUSTTORCH_INLINE V backward(V grad_output, V result) const { return grad_output * fnma(result, result, V(1)); }
};

// log(1 + e^(beta x)) / beta, or x where beta x > threshold. a = beta, b = threshold. ULP 2 (1.92) [2: 1.999] for beta
// = 1. max(x, 0) + log(1 + e^-|beta x|) / beta, with min(x, 0) if beta < 0.
// With beta = 1 and a threshold from which on the second term is below a quarter of x's last place, as by default, all
// but the two terms can go: the same bits in 6 instructions of 50 less.
template <class V>
struct Softplus {
  static constexpr float infinity = std::numeric_limits<float>::infinity();
  static constexpr double negligible = std::is_same_v<V, Vec<float>> ? 18 : 38;
  V beta, inverse_beta, threshold, low, high;
  bool is_plain;
  explicit Softplus(const Parameters& p)
      : beta(p.a),
        inverse_beta(1 / p.a),
        threshold(p.b),
        low(p.a < 0 ? -infinity : 0),
        high(p.a < 0 ? 0 : infinity),
        is_plain(p.a == 1 && p.b >= negligible) {}
  RUSTTORCH_INLINE V forward(V x) const {
    if (is_plain) return softplus_term(x) + max_number(V(0), x);
    const V y = x * beta;
    return select(y > threshold, x, fma(softplus_term(y), inverse_beta, min_number(high, max_number(low, x))));
  }
  RUSTTORCH_INLINE V backward(V grad_output, V x) const {
    const V y = x * beta;
    return select(y > threshold, grad_output, grad_output * sigmoid(y));
  }
};

// x / (1 + |x|). ULP 1.5 (1.500) [4: 3.50]. NaN for +-inf, as in PyTorch.
template <class V>
struct Softsign {
  explicit Softsign(const Parameters&) {}
  RUSTTORCH_INLINE V forward(V x) const { return x / (V(1) + abs(x)); }
  RUSTTORCH_INLINE V backward(V grad_output, V x) const {  // grad / (1 + |x|)^2; x * 0 makes it NaN for +-inf
    const V inverse = V(1) / fma(x, V(0), V(1) + abs(x));
    return grad_output * inverse * inverse;
  }
};

// x / (1 + e^-x). ULP 4 (3.39) [6: 4.43].
template <class V>
struct Silu {
  explicit Silu(const Parameters&) {}
  RUSTTORCH_INLINE V forward(V x) const { return gated(x, exp_raised(negative_abs(x))); }
  RUSTTORCH_INLINE V backward(V grad_output, V x) const {
    return grad_output * gated_derivative(x, exp_raised(negative_abs(x)), V(1));
  }
};

// x tanh(log(1 + e^x)) = x n / (n + 2) with n = e (e + 2), e = e^x. ULP 4 (3.44) [6: 5.4]. The factor is formed as 1
// minus the smaller part: x e (1 - e (e + 1) / (n + 2)) for x < 0, x (1 - 2 / (n + 2)) otherwise. From 20 on the result
// is x.
template <class V>
struct Mish {
  explicit Mish(const Parameters&) {}
  RUSTTORCH_INLINE V forward(V x) const {
    const V lowered(kLowered), two(2), u = min_number(V(20), x);
    const V e = exp_raised(u) * lowered;
    const auto negative = x < V(0);
    const V whole = select(negative, exp_raised_times(u, x) * lowered, x);
    const V part = select(negative, fma(e, e, e), two) / fma(e, e + two, two);
    return whole * (V(1) - part);
  }
  // e ((e + 2) (n + 2) + 4 x (1 + e)) / (n + 2)^2; 1 to the last bit above `limit`; x * 0 makes it NaN for inf.
  RUSTTORCH_INLINE V backward(V grad_output, V x) const {
    constexpr float limit = std::is_same_v<V, Vec<float>> ? 12 : 22;
    const V lowered(kLowered), two(2), u = min_number(V(limit), x);
    const V e32 = exp_raised(u), e = e32 * lowered, e_plus_2 = e + fma(x, V(0), two);
    const V n_plus_2 = fma(e, e_plus_2, two);
    const V sum = fma(e32 * e_plus_2, n_plus_2, (e32 * u) * fma(V(4), e, V(4)));
    return grad_output * (sum / (n_plus_2 * n_plus_2) * lowered);
  }
};

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
