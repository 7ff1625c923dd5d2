// The losses: elements, sums and gradients against formulas in double, on every ISA of this CPU.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "isa_test.h"
#include "losses.h"
#include "softmax_data.h"
#include "summation.h"
#include "vec_checks.h"

namespace rusttorch::test {
namespace {

class LossTest : public IsaTest {};

template <class T>
constexpr DtypeIndex index_of = std::is_same_v<T, float>      ? kFloat32
                                : std::is_same_v<T, double>   ? kFloat64
                                : std::is_same_v<T, bfloat16> ? kBFloat16
                                                              : kFloat16;
#define FOR_EACH_TYPE(body) (body<float>(), body<double>(), body<bfloat16>(), body<float16>())

constexpr double kParameter = 0.75;  // beta, delta

struct Loss {
  std::string name;
  const LossKernel* (*elements)(const KernelTable&);
  const LossSumKernel* (*sum)(const KernelTable&);
  const LossBackwardKernel* (*backward)(const KernelTable&);
};
const std::vector<Loss>& losses() {
#define RUSTTORCH_ROW(name, Functor)                           \
  {#name, [](const KernelTable& table) { return table.name; }, \
   [](const KernelTable& table) { return table.name##_sum; },  \
   [](const KernelTable& table) { return table.name##_backward; }},
  static const std::vector<Loss> list = {RUSTTORCH_LOSSES(RUSTTORCH_ROW)};
#undef RUSTTORCH_ROW
  return list;
}
bool of_probabilities(const Loss& loss) { return loss.name == "binary_cross_entropy"; }
bool of_logits(const Loss& loss) { return loss.name == "binary_cross_entropy_with_logits"; }

template <class R>
R loss_reference(const Loss& loss, R x, R y) {
  const R d = x - y, t = std::fabs(d), p = R(kParameter);
  if (loss.name == "mse_loss") return d * d;
  if (loss.name == "l1_loss") return t;
  if (loss.name == "smooth_l1_loss") return t < p ? d * d / (2 * p) : t - p / 2;
  if (loss.name == "huber_loss") return t < p ? d * d / 2 : p * (t - p / 2);
  if (of_probabilities(loss)) {
    return -y * std::max(std::log(x), R(-100)) - (1 - y) * std::max(std::log1p(-x), R(-100));
  }
  return x * (x < 0 ? -y : 1 - y) + std::log1p(std::exp(-std::fabs(x)));
}
template <class R>
R slope_reference(const Loss& loss, R x, R y) {
  const R d = x - y, t = std::fabs(d), p = R(kParameter), sign = d > 0 ? 1 : d < 0 ? -1 : 0;
  if (loss.name == "mse_loss") return 2 * d;
  if (loss.name == "l1_loss") return sign;
  if (loss.name == "smooth_l1_loss") return t < p ? d / p : sign;
  if (loss.name == "huber_loss") return t < p ? d : p * sign;
  if (of_probabilities(loss)) return d / std::max((1 - x) * x, R(1e-12));
  return 1 / (1 + std::exp(-x)) - y;
}
// Units of 2^-24 relative, as promised in losses.h.
double promised(const Loss& loss) {
  if (loss.name == "mse_loss") return 3;
  if (loss.name == "l1_loss") return 1;
  return of_probabilities(loss) ? 8 : of_logits(loss) ? 6 : 5;
}

// Factors: the weight of an element, and p of its target (pos_weight); 1 without them.
template <class R>
R loss_reference(const Loss& loss, R x, R y, R weight, R p) {
  if (!of_logits(loss)) return weight * loss_reference<R>(loss, x, y);
  const R rest = std::log1p(std::exp(-std::fabs(x)));
  return weight * (x < 0 ? (1 - y + p * y) * rest - x * p * y : (1 - y + p * y) * rest + x * (1 - y));
}
template <class R>
R slope_reference(const Loss& loss, R x, R y, R weight, R p) {
  if (!of_logits(loss)) return weight * slope_reference<R>(loss, x, y);
  return weight * ((1 - y + p * y) / (1 + std::exp(-x)) - p * y);
}

// Inputs of a loss: probabilities, or numbers of both signs and targets between them.
template <class T>
std::vector<T> inputs(const Loss& loss, int64_t n, double spread, uint32_t seed) {
  std::vector<T> values = random_values<T>(n, of_probabilities(loss) ? 1 : spread, seed);
  if (of_probabilities(loss)) {
    for (T& value : values) {
      if constexpr (sizeof(T) == 2) value.bits &= 0x7fff;
      else value = std::fabs(value);
    }
  }
  return values;
}
template <class T>
std::vector<T> targets(const Loss& loss, int64_t n, uint32_t seed) {
  std::vector<T> values = random_values<T>(n, 1, seed);
  if (of_probabilities(loss) || of_logits(loss)) {
    for (T& value : values) {
      if constexpr (sizeof(T) == 2) value.bits &= 0x7fff;
      else value = std::fabs(value);
    }
  }
  return values;
}
// Factors between 0.5 and 2.
template <class T>
std::vector<T> factors(int64_t n, uint32_t seed) {
  std::vector<T> values = random_values<T>(n, 1, seed);
  for (T& value : values) {
    if constexpr (sizeof(T) == 2)
      value.bits = std::is_same_v<T, bfloat16> ? 0x3f00 + value.bits % 256 : 0x3800 + value.bits % 2048;
    else value = T(0.5) + T(1.5) * std::fabs(value);
  }
  return values;
}
// What a kernel reads.
template <class T>
struct Arrays {
  std::vector<T> x, y, weight, p;
  Arrays(const Loss& loss, int64_t n, double spread)
      : x(inputs<T>(loss, n, spread, uint32_t(n))),
        y(targets<T>(loss, n, uint32_t(n) + 500)),
        weight(factors<T>(n, uint32_t(n) + 900)),
        p(factors<T>(n, uint32_t(n) + 950)) {}
  LossInputs get(bool weighted, const T* input = nullptr) const {
    const T* const first = input ? input : x.data();
    if (!weighted) return {first, y.data()};
    return {first, y.data(), weight.data(), p.data()};
  }
  template <class R>
  R loss_at(const Loss& loss, int64_t i, bool weighted) const {
    const R a = widen(x[i]), b = widen(y[i]);
    return weighted ? loss_reference<R>(loss, a, b, widen(weight[i]), widen(p[i])) : loss_reference<R>(loss, a, b);
  }
  template <class R>
  R slope_at(const Loss& loss, int64_t i, bool weighted) const {
    const R a = widen(x[i]), b = widen(y[i]);
    return weighted ? slope_reference<R>(loss, a, b, widen(weight[i]), widen(p[i])) : slope_reference<R>(loss, a, b);
  }
};
template <class T>
constexpr double unit_of = std::is_same_v<T, double> ? 0x1p-53 : 0x1p-24;

// A weight is one more rounding, pos_weight three.
double promised(const Loss& loss, bool weighted) { return promised(loss) + (weighted ? of_logits(loss) ? 5 : 1 : 0); }

template <class T>
void check_elements() {
  using R = Real<T>;
  const Parameters parameters{.a = kParameter};
  for (const Loss& loss : losses()) {
    for (const bool weighted : {false, true}) {
      double worst = 0;
      for (int64_t n = 0; n <= 130; ++n) {
        for (const double spread : {1.5, 30.0}) {
          const Arrays<T> arrays(loss, n, spread);
          const T mark = random_values<T>(1, 1, 8)[0];
          std::vector<T> out(n + 64, mark);
          ASSERT_TRUE(loss.elements(kernels())[index_of<T>](out.data() + 32, arrays.get(weighted), n, parameters));
          for (int64_t i = 0; i < 32; ++i) {
            ASSERT_EQ(widen(out[i]), widen(mark)) << loss.name << n;
            ASSERT_EQ(widen(out[32 + n + i]), widen(mark)) << loss.name << n;
          }
          for (int64_t i = 0; i < n; ++i) {
            const R expected = arrays.template loss_at<R>(loss, i, weighted);
            const double error = std::fabs(double(R(widen(out[32 + i])) - expected));
            const double half = sizeof(T) == 2 ? 0.501 * spacing<T>(double(expected)) : 0;
            const double unit = unit_of<T> * std::fabs(double(expected));
            if (error > half) worst = std::max(worst, unit > 0 ? (error - half) / unit : INFINITY);
          }
        }
      }
      EXPECT_LE(worst, promised(loss, weighted)) << loss.name << " " << sizeof(T) << weighted;
    }
  }
}
TEST_P(LossTest, ElementsAreCloseToTheRealValue) { FOR_EACH_TYPE(check_elements); }

// Terms are not negative: the error of a sum is that of its terms and 3 units of the sum (summation.h).
template <class T>
void check_sums() {
  using R = Real<T>;
  const Parameters parameters{.a = kParameter};
  std::vector<int64_t> sizes{1000, 8191, 8192, 20001, 5 * 8192 + 700};
  for (int64_t n = 0; n <= 130; ++n) sizes.push_back(n);
  for (const Loss& loss : losses()) {
    for (const int64_t n : sizes) {
      const Arrays<T> arrays(loss, n, 3);
      T* const in = reinterpret_cast<T*>(memory_before_a_hole(n * int64_t(sizeof(T))));
      std::copy(arrays.x.begin(), arrays.x.end(), in);  // read past its end: segmentation fault
      for (const bool weighted : {false, true}) {
        std::vector<double> pieces(n / kSumPiece<double> + 1), from_memory = pieces;
        const auto kernel = loss.sum(kernels())[index_of<T>];
        ASSERT_TRUE(kernel(pieces.data(), arrays.get(weighted, in), n, false, parameters)) << loss.name << n;
        ASSERT_TRUE(kernel(from_memory.data(), arrays.get(weighted, in), n, true, parameters)) << loss.name << n;
        ASSERT_EQ(from_memory, pieces) << loss.name << n;
        const double sum = std::accumulate(pieces.begin(), pieces.end(), 0.0);
        R expected = 0;
        for (int64_t i = 0; i < n; ++i) expected += arrays.template loss_at<R>(loss, i, weighted);
        ASSERT_LE(std::fabs(sum - double(expected)), (promised(loss, weighted) + 4) * unit_of<T> * double(expected))
            << loss.name << n;
      }
    }
  }
}
TEST_P(LossTest, SumsAreCloseToTheRealValue) { FOR_EACH_TYPE(check_sums); }

template <class T>
void check_gradients() {
  using R = Real<T>;
  for (const Loss& loss : losses()) {
    for (int64_t n = 0; n <= 130; ++n) {
      const Arrays<T> arrays(loss, n, 3);
      const std::vector<T> grad = random_values<T>(n, 1, 7);
      for (const int form : {0, 1, 2, 3}) {
        const bool is_array = form & 1, weighted = form & 2;
        const Parameters parameters{.a = kParameter, .c = 0.25};
        std::vector<T> out(n);
        loss.backward(kernels())[index_of<T>](out.data(), is_array ? grad.data() : nullptr, arrays.get(weighted), n,
                                              parameters);
        for (int64_t i = 0; i < n; ++i) {
          const R g = is_array ? R(widen(grad[i])) : R(0.25);
          const double expected = double(arrays.template slope_at<R>(loss, i, weighted) * g);
          // With logits the slope is a difference of numbers up to 1, or up to the product of the two factors.
          const double cancelled = of_logits(loss) ? (weighted ? 4 : 1) * std::fabs(double(g)) : 0;
          const double bound =
              7 * unit_of<T> * (std::fabs(expected) + cancelled) + (sizeof(T) == 2 ? 0.501 * spacing<T>(expected) : 0);
          if (std::isinf(rounded_to<T>(expected)) || std::isinf(widen(out[i]))) continue;  // float16 next to 0 or 1
          ASSERT_LE(std::fabs(widen(out[i]) - expected), bound) << loss.name << n << " " << i << " " << form;
        }
      }
    }
  }
}
TEST_P(LossTest, GradientsAreCloseToTheRealValue) { FOR_EACH_TYPE(check_gradients); }

template <class T>
void check_isas() {
  const std::string isa = kernels().name;
  const Parameters parameters{.a = kParameter, .c = 0.3};
  for (const Loss& loss : losses()) {
    for (const int64_t n : {1, 17, 100, 129, 1000, 9001}) {
      const Arrays<T> arrays(loss, n, 3);
      for (const bool weighted : {false, true}) {
        const LossInputs in = arrays.get(weighted);
        std::vector<T> out[2], grad[2];
        double sum[2][3] = {};
        for (const int k : {0, 1}) {
          ASSERT_EQ(use_isa(k ? "scalar" : isa), "");
          out[k].resize(n);
          grad[k].resize(n);
          loss.elements(kernels())[index_of<T>](out[k].data(), in, n, parameters);
          loss.backward(kernels())[index_of<T>](grad[k].data(), nullptr, in, n, parameters);
          loss.sum(kernels())[index_of<T>](sum[k], in, n, false, parameters);
        }
        ASSERT_EQ(use_isa(isa), "");
        ASSERT_EQ(count_different(grad[0], grad[1]), 0) << loss.name << n;
        if (isa == "avx2" && of_logits(loss) && sizeof(T) <= 4) continue;  // another log(1 + e^x): kPermutesTables
        ASSERT_EQ(count_different(out[0], out[1]), 0) << loss.name << n;
        ASSERT_TRUE(std::equal(sum[0], sum[0] + 3, sum[1])) << loss.name << n;
      }
    }
  }
}
TEST_P(LossTest, EveryIsaGivesTheSameBits) { FOR_EACH_TYPE(check_isas); }

// Labels of 0 and 1 alone take a shorter way: near the real value, and with the bits that they have beside other labels.
template <class T>
void check_labels() {
  using R = Real<T>;
  const Loss& loss = *std::find_if(losses().begin(), losses().end(), of_probabilities);
  const int64_t n = 400;
  std::vector<T> x(n), y(n), mixed(n), alone(n), beside(n);
  for (int64_t i = 0; i < n; ++i) {
    const double small = std::ldexp(1 + double(i % 7) / 8, -int(i % 150));
    x[i] = T(i % 3 == 0 ? small : i % 3 == 1 ? 1 - small : (double(i) + 0.5) / double(n));
    if (i % 3 != 2 && i % 150 == 0) x[i] = T(i % 3 == 0 ? 1 : 0);
    y[i] = T(i / 5 % 2);
    mixed[i] = i % 4 == 1 ? T(0.25) : y[i];
  }
  const LossKernel kernel = loss.elements(kernels())[index_of<T>];
  ASSERT_TRUE(kernel(alone.data(), {x.data(), y.data()}, n, {}));
  ASSERT_TRUE(kernel(beside.data(), {x.data(), mixed.data()}, n, {}));
  for (int64_t i = 0; i < n; ++i) {
    const double expected = double(loss_reference<R>(loss, R(x[i]), R(y[i])));
    ASSERT_LE(std::fabs(alone[i] - expected), promised(loss) * unit_of<T> * expected)
        << i << " " << x[i] << " " << y[i];
    if (i % 4 == 1) continue;
    ASSERT_EQ(std::memcmp(&alone[i], &beside[i], sizeof(T)), 0) << i << " " << x[i] << " " << y[i];
  }
}
TEST_P(LossTest, LabelsDoNotDependOnTheirNeighbours) {
  check_labels<float>();
  check_labels<double>();
}

// One wrong element at each place of input and target is noticed; the ends of the interval are right.
TEST_P(LossTest, CrossEntropySaysWhereItIsUndefined) {
  for (const int64_t n : {1, 7, 16, 33, 130}) {
    std::vector<float> x(n, 0.5f), y(n, 1.0f), out(n);
    for (std::vector<float>* side : {&x, &y}) {
      for (int64_t place = 0; place < n; ++place) {
        for (const float value : {-1e-30f, 1.0000001f, NAN, INFINITY, 0.0f, 1.0f}) {
          const float before = (*side)[place];
          (*side)[place] = value;
          const bool right = value >= 0 && value <= 1;
          EXPECT_EQ(kernels().binary_cross_entropy[kFloat32](out.data(), {x.data(), y.data()}, n, {}), right) << value;
          double sum = 0;
          EXPECT_EQ(kernels().binary_cross_entropy_sum[kFloat32](&sum, {x.data(), y.data()}, n, false, {}), right)
              << value;
          (*side)[place] = before;
        }
      }
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(LossTest);

}  // namespace
}  // namespace rusttorch::test
