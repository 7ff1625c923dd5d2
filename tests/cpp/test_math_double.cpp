// The float64 functions against long double (64 bits of mantissa or more, so its own error is below 0.001 ULP).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "double_functions.h"
#include "isa_test.h"

namespace rusttorch::test {
namespace {

using Real = long double;
constexpr Real kSqrtHalf = 0.707106781186547524400844362104849039284835938L;

struct Row {
  const char* name;
  Real (*reference)(Real);
  double ulp, lowest, highest;
};
#define RUSTTORCH_ROW(name, expression, reference, ulp, lowest, highest) \
  {#name, [](Real x) -> Real { return reference; }, ulp, lowest, highest},
const Row kRows[] = {RUSTTORCH_DOUBLE_FUNCTIONS(RUSTTORCH_ROW)};
#undef RUSTTORCH_ROW

const DoubleFunction& function_of(const std::string& isa, const std::string& name) {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (kRows[i].name == name) return double_functions(isa)[i];
  }
  throw std::invalid_argument("no function " + name);
}

double distance_in_ulp(double value, Real exact) {
  if (std::isnan(exact)) return std::isnan(value) ? 0 : INFINITY;
  if (std::isinf(exact) || !std::isfinite(value)) return value == exact ? 0 : INFINITY;
  int exponent = 0;
  std::frexp(exact, &exponent);
  return double(std::fabs(value - exact) / std::ldexp(Real(1), std::max(exponent - 53, -1074)));
}

std::vector<double> samples_of(const Row& row, int n) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform(row.lowest, row.highest), magnitude(-42, 0);
  std::vector<double> samples{row.lowest, row.highest};
  const double largest = std::max(std::fabs(row.lowest), std::fabs(row.highest));
  while (int(samples.size()) < n) {
    samples.push_back(uniform(random));
    const double x = largest * std::exp(magnitude(random)) * (random() & 1 ? 1 : -1);
    if (x >= row.lowest && x <= row.highest) samples.push_back(x);
  }
  return samples;
}

class DoubleMath : public IsaTest {};

TEST_P(DoubleMath, StaysWithinTheUlpItStates) {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    const std::vector<double> in = samples_of(kRows[i], 40001);  // an incomplete vector at the end
    std::vector<double> out(in.size());
    double_functions(GetParam())[i](out.data(), in.data(), int64_t(in.size()));
    double worst = 0, where = 0;
    for (size_t k = 0; k < in.size(); ++k) {
      const double distance = distance_in_ulp(out[k], kRows[i].reference(in[k]));
      if (distance > worst) worst = distance, where = in[k];
    }
    RecordProperty(kRows[i].name, std::to_string(worst));
    EXPECT_LE(worst, kRows[i].ulp) << kRows[i].name << " at " << where;
  }
}

TEST_P(DoubleMath, GivesTheBitsOfTheScalarFunctions) {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    const std::vector<double> in = samples_of(kRows[i], 1001);
    std::vector<double> here(in.size()), scalar(in.size());
    double_functions(GetParam())[i](here.data(), in.data(), int64_t(in.size()));
    double_functions("scalar")[i](scalar.data(), in.data(), int64_t(in.size()));
    EXPECT_EQ(std::memcmp(here.data(), scalar.data(), here.size() * sizeof(double)), 0) << kRows[i].name;
  }
}

// Equal bits, except that any NaN equals any other.
void expect_same(const std::string& name, double x, double value, double expected) {
  if (std::isnan(expected)) EXPECT_TRUE(std::isnan(value)) << name << "(" << x << ") = " << value;
  else EXPECT_EQ(std::memcmp(&value, &expected, sizeof value), 0) << name << "(" << x << ") = " << value;
}

TEST_P(DoubleMath, SpecialValues) {
  const double inf = INFINITY, nan = NAN, tiny = 5e-324, big = std::numeric_limits<double>::max();
  const std::vector<double> in{0.0, -0.0, inf, -inf, nan, tiny, -tiny, big, -big, 710.0, -746.0, -1.0};
  const struct {
    const char* name;
    std::vector<double> expected;
  } cases[] = {
      {"exp", {1, 1, inf, 0, nan, 1, 1, inf, 0, inf, 0, std::exp(-1.0)}},
      {"log", {-inf, -inf, inf, nan, nan, std::log(tiny), nan, std::log(big), nan, std::log(710.0), nan, nan}},
      {"log1p", {0.0, -0.0, inf, nan, nan, tiny, -tiny, std::log(big), nan, std::log1p(710.0), nan, -inf}},
      {"expm1", {0.0, -0.0, inf, -1, nan, tiny, -tiny, inf, -1, inf, -1, std::expm1(-1.0)}},
      {"tanh", {0.0, -0.0, 1, -1, nan, tiny, -tiny, 1, -1, 1, -1, std::tanh(-1.0)}},
      {"erf", {0.0, -0.0, 1, -1, nan, tiny, -tiny, 1, -1, 1, -1, std::erf(-1.0)}},
      {"normal_cdf", {0.5, 0.5, 1, 0, nan, 0.5, 0.5, 1, 0, 1, 0, std::erfc(double(kSqrtHalf)) / 2}},
      {"sigmoid", {0.5, 0.5, 1, 0, nan, 0.5, 0.5, 1, 0, 1, 0, 1 / (1 + std::exp(1.0))}},
      {"exp_shifted", {0x1p64, 0x1p64, nan, 0, nan, 0x1p64, 0x1p64}},
  };
  for (const auto& row : cases) {
    std::vector<double> out(in.size());
    function_of(GetParam(), row.name)(out.data(), in.data(), int64_t(in.size()));
    for (size_t i = 0; i < row.expected.size(); ++i) {
      const bool is_exact = std::isnan(row.expected[i]) || std::fabs(row.expected[i]) < 1e-300 ||
                            row.expected[i] == std::round(row.expected[i]);
      if (row.name == std::string("exp_shifted") && in[i] == inf) continue;  // out of its range
      if (is_exact) expect_same(row.name, in[i], out[i], row.expected[i]);
      else EXPECT_NEAR(out[i] / row.expected[i], 1, 4e-16) << row.name << "(" << in[i] << ")";
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(DoubleMath);

}  // namespace
}  // namespace rusttorch::test
