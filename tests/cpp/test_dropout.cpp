// Dropout through the kernel table: what is drawn is Philox's, element by element, on every ISA and for any split.
#include <array>
#include <cmath>
#include <vector>

#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

class Dropout : public IsaTest {};

// The generator from its paper, with any number of rounds.
using Words = std::array<uint32_t, 4>;
Words philox(Words counter, uint32_t key_low, uint32_t key_high, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    const uint64_t first = uint64_t(0xD2511F53) * counter[0], second = uint64_t(0xCD9E8D57) * counter[2];
    counter = {uint32_t(second >> 32) ^ counter[1] ^ key_low, uint32_t(second),
               uint32_t(first >> 32) ^ counter[3] ^ key_high, uint32_t(first)};
    key_low += 0x9E3779B9, key_high += 0xBB67AE85;
  }
  return counter;
}
bool keeps(int64_t i, const DropoutParameters& p) {
  const uint64_t counter = uint64_t(i / 64) * 16 + uint64_t(i % 16);
  const Words words =
      philox({uint32_t(counter), uint32_t(counter >> 32), 0, 0}, uint32_t(p.key), uint32_t(p.key >> 32), 7);
  return int32_t(words[size_t(i % 64 / 16)]) >= p.threshold;
}

// The first two are the authors' own (Random123, kat_vectors).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, 0, 0, 10), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffff, 0xffffffff, 10),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST_P(Dropout, DrawsOfThePaper) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    for (const int64_t n : {1, 15, 63, 64, 65, 129, 1000}) {
      for (const int64_t first : {int64_t(0), int64_t(64), int64_t(1) << 34, (int64_t(1) << 32) - 64}) {
        const DropoutParameters parameters{0x0123456789abcdef + uint64_t(n), -1000000000, 1.25};
        Array in(dtype, n), out(dtype, n), without_mask(dtype, n), gradient(dtype, n);
        for (int64_t i = 0; i < n; ++i) in.set(i, double(i % 100) - 50.5);
        std::vector<uint8_t> mask(size_t(n + 1), 7);
        kernels().dropout[dtype](out.data(), mask.data(), in.data(), first, n, parameters);
        kernels().dropout[dtype](without_mask.data(), nullptr, in.data(), first, n, parameters);
        kernels().dropout_backward[dtype](gradient.data(), in.data(), mask.data(), n, 1.25);
        for (int64_t i = 0; i < n; ++i) {
          const bool kept = keeps(first + i, parameters);
          ASSERT_EQ(mask[size_t(i)], uint8_t(kept)) << first << " + " << i << " of " << n;
          ASSERT_EQ(out.get(i), kept ? round_to(in.get(i) * 1.25, dtype) : 0) << kDtypeNames[dtype] << " " << i;
          ASSERT_EQ(without_mask.get(i), out.get(i));
          ASSERT_EQ(gradient.get(i), out.get(i));
        }
        ASSERT_EQ(mask[size_t(n)], 7);
        ASSERT_TRUE(out.guards_intact() && gradient.guards_intact() && without_mask.guards_intact());
        // A split at a multiple of 64, in place.
        const int64_t half = n / 128 * 64;
        kernels().dropout[dtype](in.data(), nullptr, in.data(), first, half, parameters);
        char* const rest = static_cast<char*>(in.data()) + half * kDtypeSizes[dtype];
        kernels().dropout[dtype](rest, nullptr, rest, first + half, n - half, parameters);
        for (int64_t i = 0; i < n; ++i) ASSERT_EQ(in.get(i), out.get(i));
      }
    }
  }
}

TEST_P(Dropout, NanAndInfinityOfDroppedElements) {
  Array in(kFloat32, 64), out(kFloat32, 64);
  for (int64_t i = 0; i < 64; ++i) in.set(i, i % 2 ? HUGE_VAL : NAN);
  kernels().dropout[kFloat32](out.data(), nullptr, in.data(), 0, 64, {1, 0, 2});
  for (int64_t i = 0; i < 64; ++i) ASSERT_EQ(std::isinf(out.get(i)), i % 2 && keeps(i, {1, 0, 2})) << i;
}

RUSTTORCH_FOR_EACH_ISA(Dropout);

}  // namespace
}  // namespace rusttorch::test
