// A pool of large blocks of CPU memory.
//
// Why: fresh memory costs a page fault for every 4 KiB, about 0.25 us each and more with several threads: 16 million
// floats take 20 ms to touch and 5 ms to compute. The pool keeps blocks that were freed and hands them out again, with
// their pages in place, and asks for huge pages (one fault for 2 MiB, fewer TLB misses).
//
// What it does
//   - Requests from kSmallest bytes on, rounded to a size class (size_classes.h). Freed blocks wait in a list of their
//     class. A request takes the block that was freed last, from its own class or the next larger ones, as long as it
//     uses half of the block; otherwise memory is mapped.
//   - What waits is bounded: above Settings::limit_bytes the blocks that have waited longest go back to the system, and
//     so does every block that has waited for Settings::decay_ms; that is looked at during calls, there is no thread.
//   - When the system refuses memory, everything idle goes back and the request is tried once more.
//   - The bound is this process's own: each of several processes keeps as much.
//   - Statistics: exact, at any time.
//
// What it does not: split or join blocks, zero memory, serve small requests (the system's allocator is as fast), keep
// caches per thread (a pair of calls takes 0.1 us, the operation that fills the block 10 us and more).
//
// Invariants: a block is live or idle, never both; blocks_ has every mapped block, the lists every idle one;
// idle bytes <= limit_bytes after every call; the lock is held for a few list operations only, never during a system
// call; the pool is never destroyed while blocks live.
//
// Threads: any thread may free what another one allocated. Fork: with prepare_fork and after_fork around it, both
// processes go on with their own copy.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "size_classes.h"
#include "system_memory.h"

namespace rusttorch::memory {

struct Settings {
  size_t limit_bytes;  // of idle blocks
  int64_t decay_ms = 10000;
  bool huge_pages = true;
};

struct Counter {  // as torch.cuda.memory_stats names them
  int64_t current = 0, peak = 0, allocated = 0, freed = 0;
  void add(int64_t amount) {
    current += amount;
    allocated += amount;
    if (current > peak) peak = current;
  }
  void subtract(int64_t amount) {
    current -= amount;
    freed += amount;
  }
};

struct Statistics {
  Counter requested_bytes;  // as asked, of live blocks
  Counter allocated_bytes;  // sizes of live blocks
  Counter reserved_bytes;   // sizes of all mapped blocks, live and idle
  Counter allocations;      // live blocks
  Counter segments;         // mapped blocks
  int64_t retries = 0;      // requests that made the pool give back what was idle
  int64_t failures = 0;     // requests the pool could not serve; the caller may have another allocator
};

class Pool {
 public:
  Pool(SystemMemory& system, const Settings& settings) : system_(system), settings_(settings) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();  // unmaps everything: for tests; the pool of the process lives for ever

  // A block of at least `bytes`, 64-byte aligned and more, with any contents; nullptr below kSmallest, above kLargest,
  // and when the system has no memory.
  void* allocate(size_t bytes) noexcept;
  // Takes a block back; false when `data` is none of ours.
  bool free(void* data) noexcept;
  bool owns(const void* data) noexcept;
  // Returns every idle block to the system.
  void release_idle() noexcept;

  Settings settings() noexcept;
  void configure(const Settings& settings) noexcept;
  Statistics statistics() noexcept;
  void reset_peaks() noexcept;

  void prepare_fork() noexcept { mutex_.lock(); }
  void after_fork() noexcept { mutex_.unlock(); }

 private:
  struct Block {
    char* data = nullptr;
    size_t requested = 0;  // 0: idle
    int size_class = 0;
    int64_t idle_since = 0;
    Block *next_in_class = nullptr, *previous_in_class = nullptr;  // next: freed earlier
    Block *older = nullptr, *newer = nullptr;                      // idle blocks of all classes by age
    size_t size() const { return class_size(size_class); }
  };

  Block* take_idle(size_t bytes, int size_class);
  void push_idle(Block& block, int64_t now);
  void unlink_idle(Block& block);
  // Unlink idle blocks and chain them by `older`, for unmap() to destroy without the lock.
  void evict_oldest(Block*& doomed);
  Block* evict_old(int64_t now);
  void unmap(Block* doomed);
  void* map_new(size_t bytes, int size_class);
  void count_live(const Block& block);

  SystemMemory& system_;
  std::mutex mutex_;
  Settings settings_;
  Statistics statistics_;
  size_t idle_bytes_ = 0;
  std::unordered_map<const void*, Block*> blocks_;
  std::array<Block*, kClasses> idle_{};  // by class, freed last first
  Block *oldest_ = nullptr, *newest_ = nullptr;
};

}  // namespace rusttorch::memory
