// The pool over a system of which a test knows every mapping, holds the clock and makes any call fail.
#include "pool.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <random>

namespace rusttorch::memory {
namespace {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;

class FakeSystem final : public SystemMemory {
 public:
  void* map(size_t bytes, bool huge_pages) override {
    ++calls;
    if (calls == failing_call || bytes > available) return nullptr;
    void* const data = std::aligned_alloc(4096, bytes);
    available -= bytes;
    mapped[data] = bytes;
    last_huge_pages = huge_pages;
    return data;
  }
  void unmap(void* data, size_t bytes) override {
    ASSERT_TRUE(mapped.contains(data));
    ASSERT_EQ(mapped[data], bytes);
    mapped.erase(data);
    available += bytes;
    std::free(data);
  }
  int64_t now_ms() override { return time; }

  size_t mapped_bytes() const {
    size_t sum = 0;
    for (const auto& [data, bytes] : mapped) sum += bytes;
    return sum;
  }

  std::map<void*, size_t> mapped;
  size_t available = 1024 * kMiB;
  int calls = 0, failing_call = -1;
  bool last_huge_pages = false;
  int64_t time = 0;
};

struct PoolTest : testing::Test {
  FakeSystem system;
  Pool pool{system, Settings{.limit_bytes = 64 * kMiB, .decay_ms = 1000}};
};

TEST_F(PoolTest, RefusesSmallAndImpossibleRequests) {
  EXPECT_EQ(pool.allocate(0), nullptr);
  EXPECT_EQ(pool.allocate(kSmallest - 1), nullptr);
  EXPECT_EQ(pool.allocate(kLargest + 1), nullptr);
  EXPECT_EQ(pool.allocate(~size_t(0)), nullptr);
  EXPECT_EQ(system.calls, 0);
}

TEST_F(PoolTest, FreedBlockIsServedAgainLastFirst) {
  void* const a = pool.allocate(kMiB);
  void* const b = pool.allocate(kMiB);
  EXPECT_NE(a, b);
  EXPECT_TRUE(pool.free(a));
  EXPECT_TRUE(pool.free(b));
  EXPECT_EQ(pool.allocate(kMiB), b);
  EXPECT_EQ(pool.allocate(kMiB), a);
  EXPECT_EQ(system.calls, 2);
}

TEST_F(PoolTest, NeverServesARequestUnderHalfTheBlock) {
  void* const block = pool.allocate(8 * kMiB);
  pool.free(block);
  EXPECT_NE(pool.allocate(4 * kMiB - 1), block);
  EXPECT_EQ(pool.allocate(4 * kMiB), block);
}

TEST_F(PoolTest, PrefersTheSmallestBlockThatFits) {
  void* const large = pool.allocate(6 * kMiB);
  void* const fitting = pool.allocate(5 * kMiB);
  pool.free(fitting);
  pool.free(large);
  EXPECT_EQ(pool.allocate(5 * kMiB), fitting);
}

TEST_F(PoolTest, RefusesWhatIsNotItsOwnAndASecondFree) {
  int other = 0;
  EXPECT_FALSE(pool.free(&other));
  EXPECT_FALSE(pool.free(nullptr));
  void* const a = pool.allocate(kMiB);
  EXPECT_TRUE(pool.owns(a));
  EXPECT_TRUE(pool.free(a));
  EXPECT_FALSE(pool.free(a));
  EXPECT_EQ(pool.statistics().allocations.current, 0);
}

TEST_F(PoolTest, IdleBytesStayBelowTheLimitOldestFirst) {
  pool.configure({.limit_bytes = 3 * kMiB, .decay_ms = 1000});
  void* blocks[5];
  for (void*& block : blocks) block = pool.allocate(kMiB);
  for (void* const block : blocks) {
    pool.free(block);
    EXPECT_LE(system.mapped_bytes() - size_t(pool.statistics().allocated_bytes.current), 3 * kMiB);
  }
  EXPECT_EQ(system.mapped.size(), 3u);
  EXPECT_FALSE(system.mapped.contains(blocks[0]));
  EXPECT_FALSE(system.mapped.contains(blocks[1]));
  pool.configure({.limit_bytes = 0, .decay_ms = 1000});
  EXPECT_TRUE(system.mapped.empty());
}

TEST_F(PoolTest, IdleBlocksDecayOnLaterCalls) {
  void* const old = pool.allocate(kMiB);
  void* const live = pool.allocate(2 * kMiB);
  pool.free(old);
  system.time = 1000;
  pool.free(pool.allocate(32 * kMiB));
  EXPECT_TRUE(system.mapped.contains(old));
  system.time = 1001;
  pool.free(pool.allocate(32 * kMiB));
  EXPECT_FALSE(system.mapped.contains(old));
  EXPECT_TRUE(system.mapped.contains(live));
}

TEST_F(PoolTest, ReleasesAllThatIsIdle) {
  void* const live = pool.allocate(kMiB);
  pool.free(pool.allocate(8 * kMiB));
  pool.release_idle();
  EXPECT_EQ(system.mapped.size(), 1u);
  EXPECT_TRUE(system.mapped.contains(live));
  EXPECT_EQ(pool.statistics().reserved_bytes.current, int64_t(kMiB));
}

TEST_F(PoolTest, GivesBackAndTriesOnceMoreWhenTheSystemRefuses) {
  system.available = 16 * kMiB;
  pool.free(pool.allocate(8 * kMiB));
  EXPECT_NE(pool.allocate(16 * kMiB), nullptr);
  EXPECT_EQ(pool.statistics().retries, 1);
  EXPECT_EQ(pool.statistics().failures, 0);
  EXPECT_EQ(pool.allocate(kMiB), nullptr);
  EXPECT_EQ(pool.statistics().failures, 1);
}

TEST_F(PoolTest, AFailingCallLosesNothing) {
  for (int failing = 1; failing <= 8; ++failing) {
    FakeSystem own;
    own.failing_call = failing;
    Pool fresh(own, {.limit_bytes = 64 * kMiB});
    std::vector<void*> live;
    for (size_t i = 1; i <= 6; ++i) live.push_back(fresh.allocate(i * kMiB));
    // Nothing is idle that could be given back: the request fails, the others do not.
    for (int i = 1; i <= 6; ++i) {
      void* const block = live[size_t(i - 1)];
      EXPECT_EQ(block != nullptr, i != failing) << failing;
      EXPECT_EQ(fresh.free(block), i != failing) << failing;
    }
    EXPECT_EQ(fresh.statistics().failures, failing <= 6);
    EXPECT_EQ(fresh.statistics().allocations.current, 0);
    fresh.release_idle();
    EXPECT_TRUE(own.mapped.empty());
  }
}

TEST_F(PoolTest, HugePagesAreASetting) {
  pool.allocate(4 * kMiB);
  EXPECT_TRUE(system.last_huge_pages);
  pool.configure({.limit_bytes = kMiB, .decay_ms = 1, .huge_pages = false});
  pool.allocate(4 * kMiB);
  EXPECT_FALSE(system.last_huge_pages);
}

TEST_F(PoolTest, StatisticsAreExact) {
  void* const a = pool.allocate(kMiB + 1);
  const size_t size = class_size(class_of(kMiB + 1));
  void* const b = pool.allocate(100 * kKiB);
  pool.free(b);
  const Statistics found = pool.statistics();
  EXPECT_EQ(found.requested_bytes.current, int64_t(kMiB + 1));
  EXPECT_EQ(found.allocated_bytes.current, int64_t(size));
  EXPECT_EQ(found.reserved_bytes.current, int64_t(system.mapped_bytes()));
  EXPECT_EQ(found.allocated_bytes.peak, found.reserved_bytes.current);
  EXPECT_EQ(found.allocations.allocated, 2);
  EXPECT_EQ(found.allocations.freed, 1);
  EXPECT_EQ(found.segments.current, 2);
  pool.reset_peaks();
  EXPECT_EQ(pool.statistics().allocated_bytes.peak, int64_t(size));
  pool.free(a);
  EXPECT_EQ(pool.statistics().requested_bytes.current, 0);
}

// Random calls against a model: live blocks keep their contents, never overlap, and the figures add up.
TEST_F(PoolTest, RandomCallsKeepTheInvariants) {
  std::mt19937 random(7);
  std::map<char*, std::pair<size_t, char>> live;
  int64_t requested = 0;
  for (int step = 0; step < 20000; ++step) {
    system.time += random() % 3;
    if (live.empty() || random() % 2) {
      const size_t bytes = kSmallest + random() % (300 * kKiB);
      char* const data = static_cast<char*>(pool.allocate(bytes));
      ASSERT_NE(data, nullptr);
      const auto next = live.lower_bound(data);
      if (next != live.end()) { ASSERT_LE(data + bytes, next->first); }
      if (next != live.begin()) { ASSERT_LE(std::prev(next)->first + std::prev(next)->second.first, data); }
      const char mark = char(step);
      data[0] = data[bytes - 1] = mark;
      live[data] = {bytes, mark};
      requested += int64_t(bytes);
    } else {
      auto victim = live.begin();
      std::advance(victim, random() % live.size());
      const auto [bytes, mark] = victim->second;
      ASSERT_EQ(victim->first[0], mark);
      ASSERT_EQ(victim->first[bytes - 1], mark);
      ASSERT_TRUE(pool.free(victim->first));
      requested -= int64_t(bytes);
      live.erase(victim);
    }
    if (live.size() > 200) {
      for (const auto& [data, value] : live) pool.free(data);
      live.clear();
      requested = 0;
    }
    ASSERT_EQ(pool.statistics().requested_bytes.current, requested);
    ASSERT_EQ(size_t(pool.statistics().reserved_bytes.current), system.mapped_bytes());
    ASSERT_LE(pool.statistics().reserved_bytes.current - pool.statistics().allocated_bytes.current, 64 * int64_t(kMiB));
  }
}

}  // namespace
}  // namespace rusttorch::memory
