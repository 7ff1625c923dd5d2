// Values of the arithmetic kernels: corners of the integers, rounding of the floating dtypes, division with rounding.
#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

class ArithmeticTest : public IsaTest {};

constexpr double kFloats[] = {0.0,     -0.0,   1.0,   -1.0,    0.5,  -2.5,      3.0,      -7.0,      0.1,
                              -0.3,    1e4,    -1e4,  65504.0, 1e-6, -1e-7,     1e30,     -1e30,     1e-30,
                              123.456, -99.99, 1e-42, 7.0,     1e38, 2.9999998, HUGE_VAL, -HUGE_VAL, NAN};
constexpr int64_t kIntegers[] = {0,
                                 1,
                                 -1,
                                 2,
                                 -2,
                                 3,
                                 7,
                                 -7,
                                 1000,
                                 65536,
                                 INT32_MAX,
                                 INT32_MIN,
                                 INT32_MAX - 1,
                                 INT32_MIN + 1,
                                 INT64_MAX,
                                 INT64_MIN,
                                 INT64_MAX - 1,
                                 INT64_MIN + 1,
                                 1LL << 51,
                                 -(1LL << 51),
                                 (1LL << 53) + 1,
                                 4611686018427387905LL};

// All pairs of `values`, as two arrays.
struct Pairs {
  Array a, b;
  int64_t n;
};
Pairs floating_pairs(int dtype) {
  const int64_t count = std::size(kFloats);
  Pairs pairs{Array(dtype, count * count), Array(dtype, count * count), count * count};
  for (int64_t i = 0; i < pairs.n; ++i) {
    pairs.a.set(i, kFloats[i / count]);
    pairs.b.set(i, kFloats[i % count]);
  }
  return pairs;
}
int64_t wrapped(int dtype, uint64_t value) { return dtype == kInt32 ? int32_t(uint32_t(value)) : int64_t(value); }
Pairs integer_pairs(int dtype) {
  const int64_t count = std::size(kIntegers);
  Pairs pairs{Array(dtype, count * count), Array(dtype, count * count), count * count};
  for (int64_t i = 0; i < pairs.n; ++i) {
    pairs.a.set_integer(i, wrapped(dtype, kIntegers[i / count]));
    pairs.b.set_integer(i, wrapped(dtype, kIntegers[i % count]));
  }
  return pairs;
}

// c10::div_floor_floating with every step rounded by `step`.
template <class T, class Step>
T div_floor_reference(T a, T b, Step step) {
  if (b == 0) return step(a / b);
  const T mod = std::fmod(a, b);
  T div = step(step(a - mod) / b);
  if (mod != 0 && (b < 0) != (mod < 0)) div = step(div - 1);
  if (div == 0) return std::copysign(T(0), a / b);
  T whole = std::floor(div);
  if (div - whole > T(0.5)) whole = step(whole + 1);
  return whole;
}
float same_float(float value) { return value; }
double same_double(double value) { return value; }

// The expected result of one operation in the dtype; reduced precisions compute in float32.
double expected(int dtype, const char* operation, double a, double b, bool scalar_divisor) {
  const float x = float(a), y = float(b);
  const std::string name = operation;
  const auto half = [dtype](float value) { return float(round_to_half(value, dtype)); };
  if (name == "add") return dtype == kFloat64 ? a + b : round_to(x + y, dtype);
  if (name == "sub") return dtype == kFloat64 ? a - b : round_to(x - y, dtype);
  if (name == "mul") return dtype == kFloat64 ? a * b : round_to(x * y, dtype);
  if (name == "div") return dtype == kFloat64 ? a / b : round_to(x / y, dtype);
  if (name == "add_scaled") return dtype == kFloat64 ? std::fma(0.7, b, a) : round_to(std::fma(0.7f, y, x), dtype);
  const bool each_step = is_reduced(dtype) && !scalar_divisor;
  if (name == "div_trunc") {
    if (dtype == kFloat64) return std::trunc(a / b);
    return round_to(std::trunc(each_step ? half(x / y) : x / y), dtype);
  }
  if (dtype == kFloat64) return div_floor_reference(a, b, same_double);
  return round_to(each_step ? div_floor_reference(x, y, half) : div_floor_reference(x, y, same_float), dtype);
}

TEST_P(ArithmeticTest, FloatingPairs) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    const Pairs pairs = floating_pairs(dtype);
    Parameters parameters;
    parameters.a = 0.7;
#define RUSTTORCH_ROW(name, Functor)                                                                         \
  {                                                                                                          \
    Array out(dtype, pairs.n);                                                                               \
    kernels().name[dtype](out.data(), pairs.a.data(), pairs.b.data(), pairs.n, 1, 1, parameters);            \
    for (int64_t i = 0; i < pairs.n; ++i) {                                                                  \
      const double a = pairs.a.get(i), b = pairs.b.get(i), want = expected(dtype, #name, a, b, false);       \
      EXPECT_PRED2(same_value, out.get(i), want) << #name " " << kDtypeNames[dtype] << " " << a << " " << b; \
    }                                                                                                        \
  }
    RUSTTORCH_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
  }
}

// A divisor or factor in the compute type is not rounded to the reduced precision, and nothing is rounded in between.
TEST_P(ArithmeticTest, ScalarOperandOfReducedPrecision) {
  for (const int dtype : {kBFloat16, kFloat16}) {
    const Pairs pairs = floating_pairs(dtype);
    for (const float b : {0.1f, -3.3f, 7.0f}) {
      for (const char* name : {"mul", "div", "div_trunc", "div_floor"}) {
        const KernelTable& t = kernels();
        const BinaryKernel* row = name == std::string("mul")   ? t.mul
                                  : name == std::string("div") ? t.div
                                  : name[4] == 't'             ? t.div_trunc
                                                               : t.div_floor;
        Array out(dtype, pairs.n);
        row[dtype](out.data(), pairs.a.data(), &b, pairs.n, 1, kScalarStep, Parameters());
        for (int64_t i = 0; i < pairs.n; ++i) {
          const double a = pairs.a.get(i);
          EXPECT_PRED2(same_value, out.get(i), expected(dtype, name, a, b, true)) << name << " " << a << " " << b;
        }
      }
    }
  }
}

// Quotients near integers and far apart in magnitude, where the remainder takes its different ways.
TEST_P(ArithmeticTest, FloorDivisionAgreesWithItsDefinition) {
  constexpr int64_t n = 200000;
  for (const int dtype : {kFloat32, kFloat64}) {
    Array a(dtype, n), b(dtype, n), out(dtype, n);
    uint64_t state = 1;
    for (int64_t i = 0; i < n; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const double divisor = std::ldexp(1 + double(state >> 40) / (1 << 24), int(state >> 20 & 31) - 16);
      state = state * 6364136223846793005u + 1442695040888963407u;
      const double quotient = i % 2 ? double(state >> 44) : std::ldexp(double(state >> 11), int(state & 63) - 60);
      b.set(i, i % 3 ? divisor : -divisor);
      a.set(i, b.get(i) * quotient);
      if (i % 5 == 0) a.set(i, std::nextafter(float(a.get(i)), i % 2 ? 0.0f : 1e38f));
    }
    kernels().div_floor[dtype](out.data(), a.data(), b.data(), n, 1, 1, Parameters());
    for (int64_t i = 0; i < n; ++i) {
      const double want = dtype == kFloat64 ? div_floor_reference(a.get(i), b.get(i), same_double)
                                            : div_floor_reference(float(a.get(i)), float(b.get(i)), same_float);
      ASSERT_PRED2(same_value, out.get(i), want) << std::hexfloat << a.get(i) << " " << b.get(i);
    }
  }
}

TEST_P(ArithmeticTest, IntegerPairsWrap) {
  for (const int dtype : {kInt32, kInt64}) {
    const Pairs pairs = integer_pairs(dtype);
    Parameters parameters;
    parameters.a = 0.5;  // must not be looked at
    parameters.integer = -5;
    const KernelTable& table = kernels();
    Array sum(dtype, pairs.n), difference(dtype, pairs.n), product(dtype, pairs.n), scaled(dtype, pairs.n),
        fused(dtype, pairs.n);
    table.add[dtype](sum.data(), pairs.a.data(), pairs.b.data(), pairs.n, 1, 1, parameters);
    table.sub[dtype](difference.data(), pairs.a.data(), pairs.b.data(), pairs.n, 1, 1, parameters);
    table.mul[dtype](product.data(), pairs.a.data(), pairs.b.data(), pairs.n, 1, 1, parameters);
    table.add_scaled[dtype](scaled.data(), pairs.a.data(), pairs.b.data(), pairs.n, 1, 1, parameters);
    table.fused_multiply_add[dtype](fused.data(), pairs.a.data(), pairs.b.data(), pairs.a.data(), pairs.n, 1, 1, 1);
    EXPECT_EQ(table.div[dtype], nullptr);
    for (int64_t i = 0; i < pairs.n; ++i) {
      const uint64_t a = pairs.a.get_integer(i), b = pairs.b.get_integer(i);
      EXPECT_EQ(sum.get_integer(i), wrapped(dtype, a + b));
      EXPECT_EQ(difference.get_integer(i), wrapped(dtype, a - b));
      EXPECT_EQ(product.get_integer(i), wrapped(dtype, a * b));
      EXPECT_EQ(scaled.get_integer(i), wrapped(dtype, a - 5 * b));
      EXPECT_EQ(fused.get_integer(i), wrapped(dtype, a * b + a));
    }
  }
}

TEST_P(ArithmeticTest, IntegerDivisionNeverTraps) {
  for (const int dtype : {kInt32, kInt64}) {
    const Pairs pairs = integer_pairs(dtype);
    Array cut(dtype, pairs.n), floored(dtype, pairs.n);
    kernels().div_trunc[dtype](cut.data(), pairs.a.data(), pairs.b.data(), pairs.n, 1, 1, Parameters());
    kernels().div_floor[dtype](floored.data(), pairs.a.data(), pairs.b.data(), pairs.n, 1, 1, Parameters());
    for (int64_t i = 0; i < pairs.n; ++i) {
      const int64_t a = pairs.a.get_integer(i), b = pairs.b.get_integer(i);
      if (b == 0) continue;  // anything, but no signal
      const __int128 quotient = __int128(a) / b, remainder = __int128(a) % b;
      const __int128 floor = quotient - (remainder != 0 && (remainder < 0) != (b < 0));
      EXPECT_EQ(cut.get_integer(i), wrapped(dtype, uint64_t(quotient))) << a << " / " << b;
      EXPECT_EQ(floored.get_integer(i), wrapped(dtype, uint64_t(floor))) << a << " // " << b;
    }
  }
}

TEST_P(ArithmeticTest, FusedMultiplyAddRoundsOnce) {
  const Pairs pairs = floating_pairs(kFloat64);
  Array c(kFloat64, pairs.n), out(kFloat64, pairs.n);
  for (int64_t i = 0; i < pairs.n; ++i) c.set(i, -pairs.a.get(i) * pairs.b.get(i));  // what a*b loses remains
  kernels().fused_multiply_add[kFloat64](out.data(), pairs.a.data(), pairs.b.data(), c.data(), pairs.n, 1, 1, 1);
  for (int64_t i = 0; i < pairs.n; ++i) {
    EXPECT_PRED2(same_value, out.get(i), std::fma(pairs.a.get(i), pairs.b.get(i), c.get(i)));
  }
}

TEST_P(ArithmeticTest, AnyZeroFindsTheOnlyOne) {
  for (const int dtype : {kInt32, kInt64}) {
    for (int64_t n = 0; n < 80; ++n) {
      Array b(dtype, n);
      for (int64_t i = 0; i < n; ++i) b.set_integer(i, i % 2 ? -1 : dtype == kInt32 ? 1 << 20 : 1LL << 40);
      EXPECT_FALSE(kernels().any_zero[dtype](b.data(), n)) << n;
      for (int64_t i = 0; i < n; ++i) {
        const int64_t kept = b.get_integer(i);
        b.set_integer(i, 0);
        EXPECT_TRUE(kernels().any_zero[dtype](b.data(), n)) << n << " " << i;
        b.set_integer(i, kept);
      }
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(ArithmeticTest);

}  // namespace
}  // namespace rusttorch::test
