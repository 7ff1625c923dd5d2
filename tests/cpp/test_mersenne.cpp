// Bernoulli numbers from a Mersenne twister, against the twister of the standard library and doubles.
#include <cmath>
#include <random>
#include <vector>

#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

class Mersenne : public IsaTest {};

MersenneState seeded(uint32_t seed) {
  MersenneState state;
  state.words[0] = seed;
  for (int i = 1; i < MersenneState::kWords; ++i) {
    state.words[i] = 1812433253u * (state.words[i - 1] ^ (state.words[i - 1] >> 30)) + uint32_t(i);
  }
  state.next = MersenneState::kWords;
  return state;
}

TEST_P(Mersenne, NumbersAreThoseOfTheStandardLibrary) {
  const KernelTable& k = kernels();
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    for (const double p : {0.0, 1.0, 0.1, 0.5, 1 / 3.0, 0x1p-21, 1 - 0x1p-53}) {
      std::mt19937 expected(42);
      MersenneState state = seeded(42);
      for (const int64_t n : {1, 2, 17, 300, 312, 511, 512, 513, 1500}) {
        Array out(dtype, n);
        k.mersenne_bernoulli[dtype](out.data(), state, n, bernoulli_threshold(p));
        ASSERT_TRUE(out.guards_intact());
        for (int64_t i = 0; i < n; ++i) {
          const uint64_t high = expected(), low = expected();
          const double u = double((high << 32 | low) & ((uint64_t(1) << 53) - 1)) * 0x1p-53;
          ASSERT_EQ(out.get(i), u < p ? 1.0 : 0.0) << kDtypeNames[dtype] << " " << p << " " << n << " " << i;
        }
      }
    }
  }
}

TEST(MersenneThreshold, IsExact) {
  for (const double p : {0.0, 0x1p-54, 0x1p-53, 3 * 0x1p-54, 0.3, std::nextafter(0.5, 0.0), 0.5, 1.0}) {
    const uint64_t threshold = bernoulli_threshold(p);
    ASSERT_FALSE(double(threshold) * 0x1p-53 < p);
    if (threshold == 0) continue;
    ASSERT_TRUE(double(threshold - 1) * 0x1p-53 < p) << p;
  }
}

RUSTTORCH_FOR_EACH_ISA(Mersenne);

}  // namespace
}  // namespace rusttorch::test
