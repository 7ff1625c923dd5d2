// float32 functions: a sample of all inputs against what each promises, the ends of every range, and equal bits on
// every ISA. All 2^32 inputs: ulp_sweep.
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "float_references.h"
#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int kBlock = 4096;

// Calls check(inputs, count) for blocks of every stride-th bit pattern. A prime stride meets every low bit.
template <class Check>
void for_each_block(uint64_t stride, Check check) {
  std::vector<float> in(kBlock);
  for (uint64_t pattern = 0; pattern < (1ull << 32);) {
    int count = 0;
    for (; count < kBlock && pattern < (1ull << 32); ++count, pattern += stride) {
      in[count] = std::bit_cast<float>(uint32_t(pattern));
    }
    check(in.data(), count);
  }
}

class MathFloat : public IsaTest {};

TEST_P(MathFloat, KeepsItsPromises) {
  const FloatFunction* functions = float_functions(GetParam());
  ASSERT_NE(functions, nullptr);
  // 4.2 million inputs for the best ISA, fewer for the others: most give the same bits, see below.
  const uint64_t stride = !kEmulated && GetParam() == available_isas()[0] ? 1021 : 16381;
  std::vector<float> out(kBlock);
  for (size_t k = 0; k < std::size(kFloatRows); ++k) {
    const FloatRow& row = kFloatRows[k];
    double worst = 0;
    float input = 0;
    for_each_block(stride, [&](const float* in, int count) {
      functions[k](out.data(), in, count);
      for (int i = 0; i < count; ++i) {
        const double error = ulp_error(out[i], row.exact(in[i]));
        if (error > worst) worst = error, input = in[i];
      }
    });
    EXPECT_LE(worst, row.ulp) << row.name << " at " << input;
    EXPECT_GE(worst, 0.35 * row.ulp) << row.name << ": the promise is far from what it does";
  }
}

TEST_P(MathFloat, SameBitsAsScalar) {
  const FloatFunction *functions = float_functions(GetParam()), *scalar = float_functions_scalar();
  std::vector<float> out(kBlock), expected(kBlock);
  for (size_t k = 0; k < std::size(kFloatRows); ++k) {
    const std::string name = kFloatRows[k].name;
    const bool by_tables = name.starts_with("gelu") || name == "softplus";  // where tables are fast: kPermutesTables
    if (by_tables && GetParam() == "avx2") continue;
    int64_t differences = 0;
    float input = 0;
    for_each_block(8191, [&](const float* in, int count) {
      functions[k](out.data(), in, count);
      scalar[k](expected.data(), in, count);
      for (int i = 0; i < count; ++i) {
        if (std::bit_cast<uint32_t>(out[i]) == std::bit_cast<uint32_t>(expected[i])) continue;
        if (std::isnan(out[i]) && std::isnan(expected[i])) continue;  // any NaN will do
        ++differences, input = in[i];
      }
    });
    EXPECT_EQ(differences, 0) << name << ", for example at " << input;
  }
}

// Exact results at the ends, as the comments of the functions say. NaN gives NaN in every row.
struct End {
  const char* name;
  float input, result;
};
const End kEnds[] = {
    {"exp", -kInfinity, 0},
    {"exp", kInfinity, kInfinity},
    {"exp", 0, 1},
    {"exp", -0.0f, 1},
    {"exp", -103.98f, 0},
    {"exp", -103.97f, 0x1p-149f},
    {"exp", 88.72283f, 3.40279852e38f},
    {"exp", 88.72284f, kInfinity},
    {"expm1", -kInfinity, -1},
    {"expm1", kInfinity, kInfinity},
    {"expm1", 0, 0},
    {"expm1", -0.0f, -0.0f},
    {"expm1", 0x1p-149f, 0x1p-149f},
    {"expm1", -0x1p-149f, -0x1p-149f},
    {"expm1", 88.72284f, kInfinity},
    {"log", 0, -kInfinity},
    {"log", -0.0f, -kInfinity},
    {"log", -1, kNan},
    {"log", -0x1p-149f, kNan},
    {"log", 1, 0},
    {"log", -kInfinity, kNan},
    {"log", kInfinity, kInfinity},
    {"log1p", -1, -kInfinity},
    {"log1p", -1.0000001f, kNan},
    {"log1p", -kInfinity, kNan},
    {"log1p", 0, 0},
    {"log1p", -0.0f, -0.0f},
    {"log1p", kInfinity, kInfinity},
    {"log1p", 0x1p-149f, 0x1p-149f},
    {"tanh", -kInfinity, -1},
    {"tanh", kInfinity, 1},
    {"tanh", 0, 0},
    {"tanh", -0.0f, -0.0f},
    {"tanh", 9.02f, 1},
    {"tanh", 0x1p-149f, 0x1p-149f},
    {"erf", -kInfinity, -1},
    {"erf", kInfinity, 1},
    {"erf", 0, 0},
    {"erf", -0.0f, -0.0f},
    {"erf", 3.92f, 1},
    {"erf", 0x1p-149f, 0x1p-149f},
    {"sigmoid", -kInfinity, 0},
    {"sigmoid", kInfinity, 1},
    {"sigmoid", 0, 0.5f},
    {"sigmoid", -103.98f, 0},
    {"sigmoid", 17.34f, 1},
};

TEST_P(MathFloat, Ends) {
  const FloatFunction* functions = float_functions(GetParam());
  for (size_t k = 0; k < std::size(kFloatRows); ++k) {
    // Every lane, and payloads of NaN that would carry into the exponent if they were treated as numbers.
    const uint32_t payloads[] = {0x7fc00000, 0xffc00000, 0x7fc00001, 0x7fffffff, 0xffffffff, 0x7fd5a5a5};
    for (const uint32_t payload : payloads) {
      const float in = std::bit_cast<float>(payload);
      float out = 0;
      functions[k](&out, &in, 1);
      // softplus_backward and the like return grad_output * f'(NaN) = NaN too
      EXPECT_TRUE(std::isnan(out)) << kFloatRows[k].name << " of NaN " << std::hex << payload;
    }
    for (const End& end : kEnds) {
      if (std::string(end.name) != kFloatRows[k].name) continue;
      float out = 42;
      functions[k](&out, &end.input, 1);
      EXPECT_TRUE(same_value(out, end.result))
          << end.name << "(" << end.input << ") = " << out << ", not " << end.result;
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(MathFloat);

}  // namespace
}  // namespace rusttorch::test
