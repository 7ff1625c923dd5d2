// pool_stress [allocations]: 8 threads allocate, half of the blocks are freed by the thread's neighbour, some of them
// after the thread that allocated them has ended. Nothing may be left, and no two threads may hold one block. For a run
// under ThreadSanitizer (make test-threads) and, with fewer allocations, for every test run.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "pool.h"

namespace {

constexpr int kThreads = 8;

struct Mailbox {
  std::mutex mutex;
  std::vector<std::pair<char*, char>> blocks;
};

}  // namespace

int main(int count, char** arguments) {
  using namespace rusttorch::memory;
  const long allocations = count > 1 ? std::atol(arguments[1]) : 10'000'000;
  Pool pool(system_memory(), {.limit_bytes = size_t(64) << 20, .decay_ms = 50});
  std::vector<Mailbox> mailboxes(kThreads);
  std::atomic<long> damaged{0};
  // A block carries its owner's mark while it lives.
  const auto give_back = [&](std::pair<char*, char> block) {
    if (*block.first != block.second || !pool.free(block.first)) ++damaged;
  };
  const auto work = [&](int thread) {
    std::mt19937 random(static_cast<unsigned>(thread));
    std::vector<std::pair<char*, char>> own;
    for (long i = 0; i < allocations / kThreads; ++i) {
      const size_t bytes = kSmallest + random() % (size_t(192) << 10);
      char* const data = static_cast<char*>(pool.allocate(bytes));
      if (!data) {
        ++damaged;
        continue;
      }
      *data = char(thread);
      bool sent = false;
      if (i % 2 == 0) {
        Mailbox& neighbour = mailboxes[size_t(thread + 1) % kThreads];
        const std::lock_guard lock(neighbour.mutex);
        sent = neighbour.blocks.size() < 64;  // a neighbour that has ended empties it no more
        if (sent) neighbour.blocks.emplace_back(data, char(thread));
      }
      if (!sent) own.emplace_back(data, char(thread));
      if (own.size() > 32) {
        for (const auto& block : own) give_back(block);
        own.clear();
      }
      std::vector<std::pair<char*, char>> received;
      {
        const std::lock_guard lock(mailboxes[size_t(thread)].mutex);
        if (mailboxes[size_t(thread)].blocks.size() > 16) received.swap(mailboxes[size_t(thread)].blocks);
      }
      for (const auto& block : received) give_back(block);
    }
    for (const auto& block : own) give_back(block);
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) threads.emplace_back(work, thread);
  for (std::thread& thread : threads) thread.join();
  for (Mailbox& mailbox : mailboxes) {  // their owners have ended
    for (const auto& block : mailbox.blocks) give_back(block);
  }
  const Statistics found = pool.statistics();
  pool.release_idle();
  const bool clean = damaged == 0 && found.requested_bytes.current == 0 && found.allocations.current == 0 &&
                     pool.statistics().reserved_bytes.current == 0 && pool.statistics().segments.current == 0;
  std::printf("%ld allocations, %ld damaged, %lld bytes live: %s\n", allocations, damaged.load(),
              static_cast<long long>(found.requested_bytes.current), clean ? "clean" : "NOT CLEAN");
  return clean ? 0 : 1;
}
