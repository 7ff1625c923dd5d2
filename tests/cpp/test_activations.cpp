// Activations through the kernel table: PyTorch's values at the ends, every floating dtype, the parameters, and both
// kinds of `saved`. The accuracy of float32 is the business of test_math_float.cpp.
#include <cmath>
#include <limits>
#include <vector>

#include "float_references.h"
#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
constexpr Parameters kLeaky{0.01};

struct Activation {
  const char* name;
  UnaryKernel const (KernelTable::*forward)[kFloatingDtypes];
  BackwardKernel const (KernelTable::*backward)[kFloatingDtypes];
};

double apply(UnaryKernel kernel, int dtype, double x, const Parameters& parameters) {
  Array in(dtype, 1), out(dtype, 1);
  in.set(0, x);
  kernel(out.data(), in.data(), 1, parameters);
  return out.get(0);
}
double gradient(BackwardKernel kernel, int dtype, double grad, double saved, const Parameters& parameters) {
  Array g(dtype, 1), s(dtype, 1), out(dtype, 1);
  g.set(0, grad);
  s.set(0, saved);
  kernel(out.data(), g.data(), s.data(), 1, parameters);
  return out.get(0);
}

class Activations : public IsaTest {};

// f(-inf), f(inf), f(-0), f'(-inf), f'(inf) as PyTorch 2.13 computes them; f(NaN) = NaN.
struct Ends {
  const char* name;
  UnaryKernel const* forward;
  BackwardKernel const* backward;  // null where `saved` is the result
  Parameters parameters;
  double at_minus_infinity, at_infinity, at_minus_zero, slope_at_minus_infinity, slope_at_infinity;
};

TEST_P(Activations, Ends) {
  const KernelTable& k = kernels();
  const Ends table[] = {
      {"relu", k.relu, nullptr, {}, 0, kInfinity, -0.0, 0, 0},
      {"leaky_relu", k.leaky_relu, k.leaky_relu_backward, {0.5}, -kInfinity, kInfinity, -0.0, 0.5, 1},
      {"elu", k.elu, k.elu_backward, {2, 1, 1}, -2, kInfinity, -0.0, 0, 1},
      {"gelu_erf", k.gelu_erf, k.gelu_erf_backward, {}, kNan, kInfinity, 0, kNan, kNan},
      {"gelu_tanh", k.gelu_tanh, k.gelu_tanh_backward, {}, kNan, kInfinity, -0.0, kNan, kNan},
      {"sigmoid", k.sigmoid, nullptr, {}, 0, 1, 0.5, 0, 0},
      {"tanh", k.tanh, nullptr, {}, -1, 1, -0.0, 0, 0},
      {"softplus", k.softplus, k.softplus_backward, {1, 20}, 0, kInfinity, std::log(2.0), 0, 1},
      {"softsign", k.softsign, k.softsign_backward, {}, kNan, kNan, -0.0, kNan, kNan},
      {"silu", k.silu, k.silu_backward, {}, kNan, kInfinity, -0.0, kNan, kNan},
      {"mish", k.mish, k.mish_backward, {}, kNan, kInfinity, -0.0, kNan, kNan},
  };
  for (const Ends& row : table) {
    for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
      const auto forward = [&](double x) { return apply(row.forward[dtype], dtype, x, row.parameters); };
      const std::string where = std::string(row.name) + " " + kDtypeNames[dtype];
      EXPECT_TRUE(same_value(forward(-kInfinity), row.at_minus_infinity)) << where << " " << forward(-kInfinity);
      EXPECT_TRUE(same_value(forward(kInfinity), row.at_infinity)) << where << " " << forward(kInfinity);
      EXPECT_TRUE(std::isnan(forward(kNan))) << where;
      const double zero = forward(-0.0), expected = round_to(row.at_minus_zero, dtype);
      if (expected == 0) EXPECT_EQ(zero, 0) << where;
      else EXPECT_NEAR(zero, expected, 1e-15) << where;
      if (row.at_minus_zero == 0 && std::string(row.name) != "gelu_erf") {  // torch's own gelu differs between dtypes
        EXPECT_TRUE(std::signbit(zero)) << where;
      }
      if (!row.backward) continue;
      const auto slope = [&](double x) { return gradient(row.backward[dtype], dtype, 1, x, row.parameters); };
      EXPECT_TRUE(same_value(slope(-kInfinity), row.slope_at_minus_infinity)) << where << " " << slope(-kInfinity);
      EXPECT_TRUE(same_value(slope(kInfinity), row.slope_at_infinity)) << where << " " << slope(kInfinity);
    }
  }
}

// Finite inputs of any size give finite results and slopes: no inf * 0 on the way.
TEST_P(Activations, LargeInputs) {
  const KernelTable& k = kernels();
  UnaryKernel const* const forward[] = {k.elu, k.gelu_erf, k.gelu_tanh, k.softplus, k.softsign, k.silu, k.mish};
  BackwardKernel const* const backward[] = {k.elu_backward,      k.gelu_erf_backward, k.gelu_tanh_backward,
                                            k.softplus_backward, k.softsign_backward, k.silu_backward,
                                            k.mish_backward};
  const Parameters parameters[] = {{1, 1, 1}, {}, {}, {1, 20}, {}, {}, {}};
  const double at_infinity[] = {1, 1, 1, 1, 0, 1, 1};
  for (int dtype : {int(kFloat32), int(kFloat64), int(kBFloat16)}) {
    for (double x : {50.0, 1e3, 1e7, 1e19, 1e33, 3e38}) {
      for (int i = 0; i < 7; ++i) {
        const double rounded = round_to(x, dtype);
        EXPECT_EQ(apply(forward[i][dtype], dtype, x, parameters[i]),
                  i == 4 ? round_to(rounded / (1 + rounded), dtype) : rounded)
            << i << " at " << x << " " << kDtypeNames[dtype];
        const double low = apply(forward[i][dtype], dtype, -x, parameters[i]);
        EXPECT_LE(std::fabs(low), i == 0 || i == 4 ? 1 : 1e-18) << i << " at " << -x << " " << kDtypeNames[dtype];
        const double slope = gradient(backward[i][dtype], dtype, 1, x, parameters[i]);
        EXPECT_NEAR(slope, at_infinity[i], i == 4 ? 1e-3 : 0) << i << " at " << x << " " << kDtypeNames[dtype];
        EXPECT_NEAR(gradient(backward[i][dtype], dtype, 1, -x, parameters[i]), 0, i == 4 ? 1e-3 : 1e-18)
            << i << " at " << -x << " " << kDtypeNames[dtype];
      }
    }
  }
}

TEST_P(Activations, Relu) {
  const KernelTable& k = kernels();
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    EXPECT_TRUE(same_value(apply(k.relu[dtype], dtype, -3, {}), 0));
    EXPECT_EQ(apply(k.relu[dtype], dtype, 3, {}), 3);
    EXPECT_EQ(gradient(k.relu_backward[dtype], dtype, 5, 2, {}), 5);
    EXPECT_EQ(gradient(k.relu_backward[dtype], dtype, 5, 0, {}), 0);
    EXPECT_EQ(gradient(k.relu_backward[dtype], dtype, kNan, 0, {}), 0);
    EXPECT_EQ(gradient(k.relu_backward[dtype], dtype, 5, kNan, {}), 5);  // threshold_backward: not (NaN <= 0)
    EXPECT_EQ(gradient(k.leaky_relu_backward[dtype], dtype, 4, kNan, {0.25}), 1);
  }
}

// `saved` is the result: elu_backward(is_result) agrees with the one from the input.
TEST_P(Activations, EluOfItsResult) {
  const KernelTable& k = kernels();
  for (const Parameters& p : {Parameters{1, 1, 1}, Parameters{0.75, 1.5, 2}}) {
    Parameters of_result = p;
    of_result.integer = 1;
    for (double x = -6; x < 6; x += 0.37) {
      const double result = apply(k.elu[kFloat64], kFloat64, x, p);
      EXPECT_NEAR(result, p.b * (x > 0 ? x : p.a * std::expm1(x * p.c)), 1e-14);
      const double expected = 3 * p.b * (x > 0 ? 1 : p.a * p.c * std::exp(x * p.c));
      EXPECT_NEAR(gradient(k.elu_backward[kFloat64], kFloat64, 3, x, p), expected, 1e-14);
      EXPECT_NEAR(gradient(k.elu_backward[kFloat64], kFloat64, 3, result, of_result), expected, 1e-14);
      EXPECT_NEAR(gradient(k.elu_backward[kFloat32], kFloat32, 3, float(x), p), expected, 1e-5);
      EXPECT_NEAR(gradient(k.elu_backward[kFloat32], kFloat32, 3, float(result), of_result), expected, 1e-5);
    }
  }
}

TEST_P(Activations, SoftplusParameters) {
  const KernelTable& k = kernels();
  for (int dtype : {int(kFloat32), int(kFloat64)}) {
    const double tolerance = dtype == kFloat32 ? 1e-6 : 1e-14;
    for (const double beta : {0.5, 2.0, 3.0}) {
      const Parameters p{beta, 4};
      for (double x = -20; x < 20; x += 0.25) {
        const bool linear = x * beta > 4;
        const double expected = linear ? x : std::log1p(std::exp(x * beta)) / beta;
        const double slope = linear ? 1 : 1 / (1 + std::exp(-x * beta));
        EXPECT_NEAR(apply(k.softplus[dtype], dtype, x, p), expected, tolerance * (1 + std::fabs(expected)));
        EXPECT_NEAR(gradient(k.softplus_backward[dtype], dtype, 2, x, p), 2 * slope, tolerance);
      }
    }
  }
}

// From the result: sigmoid' = s (1 - s), tanh' = 1 - t^2.
TEST_P(Activations, SlopesFromResults) {
  const KernelTable& k = kernels();
  for (double x = -8; x < 8; x += 0.125) {
    const double s = 1 / (1 + std::exp(-x)), t = std::tanh(x);
    EXPECT_NEAR(gradient(k.sigmoid_backward[kFloat64], kFloat64, 2, s, {}), 2 * s * (1 - s), 1e-15);
    EXPECT_NEAR(gradient(k.tanh_backward[kFloat64], kFloat64, 2, t, {}), 2 * (1 - t * t), 1e-15);
    EXPECT_NEAR(gradient(k.sigmoid_backward[kFloat32], kFloat32, 2, float(s), {}), 2 * s * (1 - s), 2e-7);
    EXPECT_NEAR(gradient(k.tanh_backward[kFloat32], kFloat32, 2, float(t), {}), 2 * (1 - t * t), 5e-7);
  }
}

// float64: forward and slope of the input-saving activations against the references, which are good to about 1e-15.
TEST_P(Activations, Float64) {
  const KernelTable& k = kernels();
  struct Row {
    const char* name;
    UnaryKernel const* forward;
    BackwardKernel const* backward;
    Parameters parameters;
    Exact (*exact)(double);
    Exact (*slope)(double);
  };
  const Row rows[] = {
      {"elu", k.elu, k.elu_backward, kEluDefault, reference::elu, reference::elu_backward},
      {"selu", k.elu, k.elu_backward, kSelu, reference::selu, reference::selu_backward},
      {"gelu_erf", k.gelu_erf, k.gelu_erf_backward, {}, reference::gelu_erf, reference::gelu_erf_backward},
      {"gelu_tanh", k.gelu_tanh, k.gelu_tanh_backward, {}, reference::gelu_tanh, reference::gelu_tanh_backward},
      {"softplus", k.softplus, k.softplus_backward, kSoftplusDefault, reference::softplus,
       reference::softplus_backward},
      {"softsign", k.softsign, k.softsign_backward, {}, reference::softsign, reference::softsign_backward},
      {"silu", k.silu, k.silu_backward, {}, reference::silu, reference::silu_backward},
      {"mish", k.mish, k.mish_backward, {}, reference::mish, reference::mish_backward},
  };
  std::vector<double> in, out, one;
  for (int i = -40000; i <= 40000; ++i) in.push_back(i * 1e-3 + 1e-7 * (i % 7));
  out.resize(in.size());
  one.assign(in.size(), 1);
  for (const Row& row : rows) {
    for (const bool backward : {false, true}) {
      if (backward) row.backward[kFloat64](out.data(), one.data(), in.data(), in.size(), row.parameters);
      else row.forward[kFloat64](out.data(), in.data(), in.size(), row.parameters);
      double worst = 0, input = 0;
      for (size_t i = 0; i < in.size(); ++i) {
        const Exact exact = backward ? row.slope(in[i]) : row.exact(in[i]);
        const double error = std::fabs(out[i] - exact.value) / std::fmax(exact.size, 1e-300);
        if (!(error <= worst)) worst = error, input = in[i];
      }
      // 4 ULP of ours and of the reference; where an exponent e is rounded first, e more: gelu's reaches -800, those of
      // the tanh form -400.
      const bool gelu = std::string(row.name).starts_with("gelu");
      EXPECT_LE(worst, gelu ? 4e-13 : 2e-15) << row.name << (backward ? " backward" : "") << " at " << input;
    }
  }
}

// Reduced precisions: the float32 kernel's result, rounded once, for every bit pattern.
TEST_P(Activations, ReducedPrecisionsRoundOnce) {
  const KernelTable& k = kernels();
  struct Row {
    const char* name;
    UnaryKernel const* forward;
    BackwardKernel const* backward;
    Parameters parameters;
  };
  const Row rows[] = {
#define RUSTTORCH_ROW(name, Functor) {#name, k.name, k.name##_backward, {}},
      RUSTTORCH_ACTIVATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
  };
  constexpr int n = 1 << 16;
  for (Row row : rows) {
    const std::string name = row.name;
    if (name == "elu") row.parameters = kEluDefault;
    if (name == "softplus") row.parameters = kSoftplusDefault;
    if (name == "leaky_relu") row.parameters = kLeaky;
    for (int dtype : {int(kBFloat16), int(kFloat16)}) {
      std::vector<uint16_t> in(n), out(n), grad_bits(n);
      std::vector<float> wide(n), wide_out(n), grad(n);
      Array one_value(dtype, 1);
      for (int i = 0; i < n; ++i) {
        in[i] = uint16_t(i);
        std::memcpy(one_value.data(), &in[i], 2);
        wide[i] = float(one_value.get(0));
        grad[i] = float(i % 5) - 1.5f;
        one_value.set(0, grad[i]);
        std::memcpy(&grad_bits[i], one_value.data(), 2);
      }
      for (const bool backward : {false, true}) {
        if (backward) {
          row.backward[dtype](out.data(), grad_bits.data(), in.data(), n, row.parameters);
          row.backward[kFloat32](wide_out.data(), grad.data(), wide.data(), n, row.parameters);
        } else {
          row.forward[dtype](out.data(), in.data(), n, row.parameters);
          row.forward[kFloat32](wide_out.data(), wide.data(), n, row.parameters);
        }
        int differences = 0;
        for (int i = 0; i < n; ++i) {
          std::memcpy(one_value.data(), &out[i], 2);
          differences += !same_value(one_value.get(0), round_to_half(wide_out[i], dtype));
        }
        EXPECT_EQ(differences, 0) << name << (backward ? " backward " : " ") << kDtypeNames[dtype];
      }
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(Activations);

}  // namespace
}  // namespace rusttorch::test
