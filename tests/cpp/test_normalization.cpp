// layer_norm and rms_norm through the kernel table: against long double, and every ISA against scalar code.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

constexpr int64_t kSizes[] = {1, 2, 7, 15, 16, 17, 33, 50, 63, 64, 65, 127, 128, 129, 256, 257, 300, 1000, 2049};
constexpr double kEps = 1e-5;

class Normalization : public IsaTest {};

int compute_dtype(int dtype) { return dtype == kFloat64 ? kFloat64 : kFloat32; }
double unit_of(int dtype) {
  constexpr double units[] = {0x1p-24, 0x1p-53, 0x1p-8, 0x1p-11};
  return units[dtype];
}

// Data, weights and what comes out, for one dtype of the input and one of the weights.
struct Case {
  int dtype, weights;
  int64_t rows, size;
  Array in, dy, weight, bias;
  Case(int dtype_, int weights_, int64_t rows_, int64_t size_, double centre = 0)
      : dtype(dtype_),
        weights(weights_),
        rows(rows_),
        size(size_),
        in(dtype_, rows_ * size_),
        dy(dtype_, rows_ * size_),
        weight(weights_, size_),
        bias(weights_, size_) {
    std::mt19937 random(uint32_t(size_ * 31 + dtype_));
    std::normal_distribution<double> normal(0, 1);
    for (int64_t i = 0; i < rows * size; ++i) in.set(i, centre + normal(random)), dy.set(i, normal(random));
    for (int64_t i = 0; i < size; ++i) weight.set(i, 1 + normal(random) / 4), bias.set(i, normal(random));
  }
};

struct Exact {
  std::vector<long double> out, grad_input, grad_weight, grad_bias, magnitude;
  std::vector<long double> mean, rstd;
};
Exact exact(const Case& c, bool centred, bool weighted) {
  Exact e;
  const int64_t n = c.size;
  e.grad_weight.assign(n, 0), e.grad_bias.assign(n, 0), e.magnitude.assign(n, 0);
  for (int64_t row = 0; row < c.rows; ++row) {
    long double mean = 0, squares = 0, g_sum = 0, gn_sum = 0;
    for (int64_t i = 0; i < n; ++i) mean += (long double)c.in.get(row * n + i) / n;
    if (!centred) mean = 0;
    for (int64_t i = 0; i < n; ++i) squares += (c.in.get(row * n + i) - mean) * (c.in.get(row * n + i) - mean) / n;
    const long double rstd = 1 / std::sqrt(squares + (long double)kEps);
    e.mean.push_back(mean), e.rstd.push_back(rstd);
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t i = 0; i < n; ++i) {
        const long double normal = (c.in.get(row * n + i) - mean) * rstd, dy = c.dy.get(row * n + i);
        const long double g = weighted ? dy * c.weight.get(i) : dy;
        if (pass == 0) {
          e.out.push_back((weighted ? normal * c.weight.get(i) : normal) + (weighted && centred ? c.bias.get(i) : 0));
          g_sum += centred ? g / n : 0, gn_sum += g * normal / n;
          e.grad_weight[i] += dy * normal, e.grad_bias[i] += dy,
              e.magnitude[i] += std::fabs(dy * normal) + std::fabs(dy);
        } else {
          e.grad_input.push_back(rstd * (g - g_sum - normal * gn_sum));
        }
      }
    }
  }
  return e;
}

struct Result {
  Array out, mean, rstd, grad_input, grad_weight, grad_bias;
};
Result run(const KernelTable& table, const Case& c, bool centred, bool weighted) {
  const int wide = compute_dtype(c.dtype);
  Result r{Array(c.dtype, c.rows * c.size), Array(wide, c.rows), Array(wide, c.rows),
           Array(c.dtype, c.rows * c.size), Array(wide, c.size), Array(wide, c.size)};
  const auto& forward = centred ? table.layer_norm : table.rms_norm;
  const auto& backward = centred ? table.layer_norm_backward : table.rms_norm_backward;
  const bool mixed = c.dtype != c.weights;
  const void* const weight = weighted ? c.weight.data() : nullptr;
  forward[c.dtype][mixed](r.out.data(), centred ? r.mean.data() : nullptr, r.rstd.data(), c.in.data(), weight,
                          weighted && centred ? c.bias.data() : nullptr, c.rows, c.size, kEps);
  for (int64_t i = 0; i < c.size; ++i) r.grad_weight.set(i, 0), r.grad_bias.set(i, 0);
  backward[c.dtype][mixed](r.grad_input.data(), r.grad_weight.data(), r.grad_bias.data(), c.dy.data(), c.in.data(),
                           centred ? r.mean.data() : nullptr, r.rstd.data(), weight, c.rows, c.size);
  return r;
}

template <class Check>
void for_each_case(double centre, const Check& check) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    for (const int weights : {dtype, int(kFloat32)}) {
      if (weights != dtype && !is_reduced(dtype)) continue;
      for (const int64_t size : kSizes) check(Case(dtype, weights, 7, size, centre));
    }
  }
}

TEST_P(Normalization, NearTheRealNumbers) {
  for_each_case(0.5, [](const Case& c) {
    for (const bool centred : {true, false}) {
      for (const bool weighted : {true, false}) {
        const Exact e = exact(c, centred, weighted);
        const Result r = run(kernels(), c, centred, weighted);
        const std::string where = std::string(kDtypeNames[c.dtype]) + " " + std::to_string(c.size);
        const double unit = unit_of(c.dtype), wide = unit_of(compute_dtype(c.dtype));
        const double last = is_reduced(c.dtype) ? unit : 0;
        for (int64_t i = 0; i < c.rows * c.size; ++i) {
          // The rounding of the mean moves a whole row: half a unit of the mean, times rstd.
          const double rstd = double(e.rstd[i / c.size]), size = 4 + rstd;
          ASSERT_NEAR(r.out.get(i), double(e.out[i]),
                      last * std::fabs(double(e.out[i])) + wide * size * (1 + std::fabs(double(e.out[i]))))
              << where;
          ASSERT_NEAR(r.grad_input.get(i), double(e.grad_input[i]),
                      last * std::fabs(double(e.grad_input[i])) + 16 * wide * rstd * (2 + rstd))
              << where;
        }
        for (int64_t row = 0; row < c.rows; ++row) {
          ASSERT_NEAR(r.rstd.get(row), double(e.rstd[row]), 4 * wide * double(e.rstd[row])) << where;
          if (!centred) continue;
          ASSERT_NEAR(r.mean.get(row), double(e.mean[row]), 4 * wide * (1 + std::fabs(double(e.mean[row]))));
        }
        for (int64_t i = 0; i < c.size; ++i) {
          const double bound = 16 * wide * double(e.magnitude[i]) * (1 + double(e.rstd[0]));
          ASSERT_NEAR(r.grad_weight.get(i), double(e.grad_weight[i]), bound + 1e-30) << where;
          if (!centred) continue;
          ASSERT_NEAR(r.grad_bias.get(i), double(e.grad_bias[i]), bound + 1e-30) << where;
        }
        ASSERT_TRUE(r.out.guards_intact() && r.grad_input.guards_intact() && r.mean.guards_intact());
        ASSERT_TRUE(r.grad_weight.guards_intact() && r.grad_bias.guards_intact() && r.rstd.guards_intact());
      }
    }
  });
}

TEST_P(Normalization, SameBitsAsScalar) {
  ASSERT_EQ(use_isa("scalar"), "");
  const KernelTable& scalar = kernels();
  ASSERT_EQ(use_isa(GetParam()), "");
  for_each_case(3, [&](const Case& c) {
    for (const bool centred : {true, false}) {
      for (const bool weighted : {true, false}) {
        const Result got = run(kernels(), c, centred, weighted), expected = run(scalar, c, centred, weighted);
        for (int64_t i = 0; i < c.rows * c.size; ++i) {
          ASSERT_TRUE(same_value(got.out.get(i), expected.out.get(i))) << kDtypeNames[c.dtype] << " " << c.size;
          ASSERT_TRUE(same_value(got.grad_input.get(i), expected.grad_input.get(i)))
              << kDtypeNames[c.dtype] << " " << c.size;
        }
        for (int64_t row = 0; row < c.rows; ++row) ASSERT_EQ(got.rstd.get(row), expected.rstd.get(row));
        for (int64_t i = 0; i < c.size; ++i) {
          ASSERT_EQ(got.grad_weight.get(i), expected.grad_weight.get(i)) << kDtypeNames[c.dtype] << " " << c.size;
          ASSERT_EQ(got.grad_bias.get(i), expected.grad_bias.get(i)) << kDtypeNames[c.dtype] << " " << c.size;
        }
      }
    }
  });
}

// Data far from zero: what the mean loses when it is rounded to float is put back.
TEST_P(Normalization, CancellingInput) {
  const int64_t n = 1000;
  Case c(kFloat32, kFloat32, 1, n);
  for (int64_t i = 0; i < n; ++i) c.in.set(i, 10000 + double(i % 17) / 1024);  // exact in float32
  const Exact e = exact(c, true, true);
  const Result r = run(kernels(), c, true, true);
  for (int64_t i = 0; i < n; ++i) ASSERT_NEAR(r.out.get(i), double(e.out[i]), 16 * 0x1p-24) << i;
}

// Gradients that nobody asks for are not touched, and rows add to the sums that are there.
TEST_P(Normalization, PartsOfTheGradient) {
  const Case c(kFloat32, kFloat32, 9, 70);
  const Result whole = run(kernels(), c, true, true);
  Array grad_input(kFloat32, 9 * 70), grad_weight(kFloat32, 70), grad_bias(kFloat32, 70);
  const auto backward = kernels().layer_norm_backward[kFloat32][0];
  backward(grad_input.data(), nullptr, nullptr, c.dy.data(), c.in.data(), whole.mean.data(), whole.rstd.data(),
           c.weight.data(), 9, 70);
  for (int64_t i = 0; i < 70; ++i) grad_weight.set(i, 0), grad_bias.set(i, 0);
  const auto row = [](const Array& array, int64_t first, int64_t size) {
    return static_cast<const float*>(array.data()) + first * size;
  };
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 4}, {4, 3}, {7, 2}}) {
    backward(nullptr, grad_weight.data(), grad_bias.data(), row(c.dy, first, 70), row(c.in, first, 70),
             row(whole.mean, first, 1), row(whole.rstd, first, 1), c.weight.data(), count, 70);
  }
  for (int64_t i = 0; i < 9 * 70; ++i) ASSERT_EQ(grad_input.get(i), whole.grad_input.get(i));
  for (int64_t i = 0; i < 70; ++i) {
    ASSERT_EQ(grad_weight.get(i), whole.grad_weight.get(i));
    ASSERT_EQ(grad_bias.get(i), whole.grad_bias.get(i));
  }
}

TEST_P(Normalization, NonFiniteRowsStayAlone) {
  Case c(kFloat32, kFloat32, 3, 40);
  c.in.set(45, HUGE_VAL), c.in.set(85, NAN);
  for (const bool centred : {true, false}) {
    const Result r = run(kernels(), c, centred, true);
    for (int64_t i = 0; i < 40; ++i) ASSERT_TRUE(std::isfinite(r.out.get(i)));
    for (int64_t i = 80; i < 120; ++i) ASSERT_TRUE(std::isnan(r.out.get(i)));
    ASSERT_TRUE(!centred || std::isnan(r.out.get(40)));
  }
}

RUSTTORCH_FOR_EACH_ISA(Normalization);

}  // namespace
}  // namespace rusttorch::test
