// The choice of the kernel table and its override.
#include <algorithm>
#include <cstdlib>

#include "isa_test.h"

namespace rusttorch::test {
namespace {

using ::testing::Test;

class Dispatch : public Test {
 protected:
  void TearDown() override {
    unsetenv("TORCHEXT_ISA");
    use_isa("auto");
  }
  // The table that the first call of kernels() would choose with TORCHEXT_ISA = value.
  static const KernelTable& chosen_with(const char* value) {
    setenv("TORCHEXT_ISA", value, 1);
    detail::active_table.store(nullptr);
    return kernels();
  }
};

TEST_F(Dispatch, BestFirstScalarLast) {
  const std::vector<std::string> names = available_isas();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.back(), "scalar");
  EXPECT_EQ(use_isa("auto"), "");
  EXPECT_EQ(kernels().name, names.front());
  EXPECT_EQ(use_isa("scalar"), "");
  EXPECT_EQ(use_isa(""), "");
  EXPECT_EQ(kernels().name, names.front());
}

TEST_F(Dispatch, TheForcedIsaRuns) {
  const std::vector<std::pair<std::string, int>> lanes = {{"scalar", 1}, {"neon", 4}, {"avx2", 8}, {"avx512", 16}};
  std::vector<UnaryKernel> seen;
  for (const auto& [name, count] : lanes) {
    const std::vector<std::string> names = available_isas();
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    ASSERT_EQ(use_isa(name), "");
    EXPECT_EQ(kernels().name, name);
    EXPECT_EQ(kernels().float_lanes, count);
    EXPECT_EQ(std::count(seen.begin(), seen.end(), kernels().tanh[kFloat32]), 0) << "code of another ISA";
    seen.push_back(kernels().tanh[kFloat32]);
  }
}

TEST_F(Dispatch, UnknownNamesAreRefusedAndListTheValidOnes) {
  use_isa("scalar");
  for (const char* name : {"sse9", "AVX2", "avx2 ", "auto,scalar"}) {
    const std::string error = use_isa(name);
    EXPECT_NE(error.find(std::string("unknown ISA \"") + name + "\""), std::string::npos) << error;
    for (const std::string& valid : available_isas()) EXPECT_NE(error.find(valid), std::string::npos) << error;
    EXPECT_STREQ(kernels().name, "scalar");
  }
}

TEST_F(Dispatch, NeverAboveTheCpu) {
  const std::vector<std::string> names = available_isas();
  for (const char* name : {"avx512", "avx2", "neon"}) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    use_isa("scalar");
    EXPECT_NE(use_isa(name), "") << name;
    EXPECT_STREQ(kernels().name, "scalar");
    EXPECT_EQ(chosen_with(name).name, names.front());
  }
}

TEST_F(Dispatch, EnvironmentVariable) {
  EXPECT_EQ(isa_environment_error(), "");
  EXPECT_STREQ(chosen_with("scalar").name, "scalar");
  EXPECT_EQ(isa_environment_error(), "");
  EXPECT_EQ(chosen_with("").name, available_isas().front());
  EXPECT_EQ(chosen_with("auto").name, available_isas().front());
  EXPECT_EQ(chosen_with("nonsense").name, available_isas().front());
  EXPECT_NE(isa_environment_error().find("TORCHEXT_ISA: unknown ISA \"nonsense\""), std::string::npos);
}

// A table with a hole would crash in the middle of somebody's training.
TEST_F(Dispatch, EveryRowOfEveryTableIsFilled) {
  for (const std::string& name : available_isas()) {
    ASSERT_EQ(use_isa(name), "");
    const KernelTable& table = kernels();
    for (int dtype = 0; dtype < kDtypes; ++dtype) {
      const bool floating = dtype < kFloatingDtypes;
#define RUSTTORCH_ROW(row, Functor) \
  if (floating) { EXPECT_TRUE(table.row[dtype] && table.row##_backward[dtype]) << #row; }
      RUSTTORCH_ACTIVATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#define RUSTTORCH_ROW(row, Functor)                                                       \
  if (floating) { EXPECT_TRUE(table.row[dtype] && table.row##_backward[dtype]) << #row; } \
  if (floating) { EXPECT_TRUE(table.row##_columns[dtype] && table.row##_columns_backward[dtype]) << #row; }
      RUSTTORCH_SOFTMAX(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#define RUSTTORCH_ROW(row, Functor) \
  if (floating) { EXPECT_TRUE(table.row[dtype]) << #row; }
      RUSTTORCH_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#define RUSTTORCH_ROW(row, Functor) EXPECT_TRUE(table.row[dtype]) << #row;
      RUSTTORCH_INTEGER_ARITHMETIC(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
      EXPECT_TRUE(table.fused_multiply_add[dtype]);
      EXPECT_EQ(table.any_zero[dtype] != nullptr, !floating);
    }
  }
}

}  // namespace
}  // namespace rusttorch::test
