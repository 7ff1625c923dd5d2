// A test fixture that runs once for every ISA this CPU has, and fails when another one is active.
#pragma once
#include <gtest/gtest.h>

#include "dispatch.h"

namespace rusttorch::test {

// Under an emulator, and with emulated intrinsics, where everything takes twenty times as long, some tests leave out
// their largest cases: emulated AVX-512 440 s to 168 s, NEON under qemu 350 s to 121 s.
#ifdef TORCHEXT_EMULATED
inline constexpr bool kEmulated = true;
#else
inline constexpr bool kEmulated = false;
#endif
inline constexpr int64_t kMostElements = kEmulated ? 25'000 : 200'000;  // of a case of the reductions
inline bool is_slow() { return kEmulated || kernels().float_lanes < 8; }

class IsaTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ASSERT_EQ(use_isa(GetParam()), "");
    ASSERT_EQ(kernels().name, GetParam());
  }
  void TearDown() override {
    EXPECT_EQ(kernels().name, GetParam());
    use_isa("auto");
  }
};

inline std::string isa_test_name(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

#define RUSTTORCH_FOR_EACH_ISA(Suite) \
  INSTANTIATE_TEST_SUITE_P(, Suite, ::testing::ValuesIn(available_isas()), isa_test_name)

}  // namespace rusttorch::test
