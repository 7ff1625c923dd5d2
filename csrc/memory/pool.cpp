#include "pool.h"

#include <new>

namespace rusttorch::memory {

Pool::~Pool() {
  for (const auto& [data, block] : blocks_) {
    system_.unmap(block->data, block->size());
    delete block;
  }
}

void* Pool::allocate(size_t bytes) noexcept {
  if (bytes < kSmallest || bytes > kLargest) return nullptr;
  const int size_class = class_of(bytes);
  const int64_t now = system_.now_ms();
  Block *block = nullptr, *doomed = nullptr;
  {
    const std::lock_guard lock(mutex_);
    block = take_idle(bytes, size_class);
    if (block) {
      block->requested = bytes;
      count_live(*block);
    }
    doomed = evict_old(now);
  }
  unmap(doomed);
  if (block) return block->data;
  if (void* const data = map_new(bytes, size_class)) return data;
  bool idle = false;
  {
    const std::lock_guard lock(mutex_);
    idle = oldest_ != nullptr;
    statistics_.retries += idle;
  }
  if (idle) {
    release_idle();
    if (void* const data = map_new(bytes, size_class)) return data;
  }
  const std::lock_guard lock(mutex_);
  ++statistics_.failures;
  return nullptr;
}

bool Pool::free(void* data) noexcept {
  const int64_t now = system_.now_ms();
  Block* doomed = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(data);
    if (found == blocks_.end() || found->second->requested == 0) return false;
    Block& block = *found->second;
    statistics_.allocations.subtract(1);
    statistics_.requested_bytes.subtract(int64_t(block.requested));
    statistics_.allocated_bytes.subtract(int64_t(block.size()));
    push_idle(block, now);
    doomed = evict_old(now);
  }
  unmap(doomed);
  return true;
}

bool Pool::owns(const void* data) noexcept {
  const std::lock_guard lock(mutex_);
  return blocks_.contains(data);
}

void Pool::release_idle() noexcept {
  Block* doomed = nullptr;
  {
    const std::lock_guard lock(mutex_);
    while (oldest_) evict_oldest(doomed);
  }
  unmap(doomed);
}

Settings Pool::settings() noexcept {
  const std::lock_guard lock(mutex_);
  return settings_;
}

void Pool::configure(const Settings& settings) noexcept {
  const int64_t now = system_.now_ms();
  Block* doomed = nullptr;
  {
    const std::lock_guard lock(mutex_);
    settings_ = settings;
    doomed = evict_old(now);
  }
  unmap(doomed);
}

Statistics Pool::statistics() noexcept {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

void Pool::reset_peaks() noexcept {
  const std::lock_guard lock(mutex_);
  for (Counter* counter : {&statistics_.requested_bytes, &statistics_.allocated_bytes, &statistics_.reserved_bytes,
                           &statistics_.allocations, &statistics_.segments}) {
    counter->peak = counter->current;
  }
}

Pool::Block* Pool::take_idle(size_t bytes, int size_class) {
  // kSteps classes further a block is twice as large.
  for (int index = size_class; index < kClasses && class_size(index) <= 2 * bytes; ++index) {
    if (Block* const block = idle_[size_t(index)]) {
      unlink_idle(*block);
      return block;
    }
  }
  return nullptr;
}

void Pool::push_idle(Block& block, int64_t now) {
  block.requested = 0;
  block.idle_since = now;
  Block*& first = idle_[size_t(block.size_class)];
  block.previous_in_class = nullptr;
  block.next_in_class = first;
  if (first) first->previous_in_class = &block;
  first = &block;
  block.newer = nullptr;
  block.older = newest_;
  (newest_ ? newest_->newer : oldest_) = &block;
  newest_ = &block;
  idle_bytes_ += block.size();
}

void Pool::unlink_idle(Block& block) {
  (block.previous_in_class ? block.previous_in_class->next_in_class : idle_[size_t(block.size_class)]) =
      block.next_in_class;
  if (block.next_in_class) block.next_in_class->previous_in_class = block.previous_in_class;
  (block.older ? block.older->newer : oldest_) = block.newer;
  (block.newer ? block.newer->older : newest_) = block.older;
  idle_bytes_ -= block.size();
}

void Pool::evict_oldest(Block*& doomed) {
  Block& block = *oldest_;
  unlink_idle(block);
  statistics_.reserved_bytes.subtract(int64_t(block.size()));
  statistics_.segments.subtract(1);
  blocks_.erase(block.data);
  block.older = doomed;
  doomed = &block;
}

Pool::Block* Pool::evict_old(int64_t now) {
  Block* doomed = nullptr;
  while (oldest_ && (idle_bytes_ > settings_.limit_bytes || now - oldest_->idle_since > settings_.decay_ms)) {
    evict_oldest(doomed);
  }
  return doomed;
}

void Pool::unmap(Block* doomed) {
  while (doomed) {
    Block* const block = doomed;
    doomed = block->older;
    system_.unmap(block->data, block->size());
    delete block;
  }
}

void* Pool::map_new(size_t bytes, int size_class) {
  const size_t size = class_size(size_class);
  char* const data = static_cast<char*>(system_.map(size, settings().huge_pages));
  if (!data) return nullptr;
  Block* const block = new (std::nothrow) Block{.data = data, .requested = bytes, .size_class = size_class};
  bool known = false;
  if (block) {
    const std::lock_guard lock(mutex_);
    try {
      known = blocks_.emplace(data, block).second;
    } catch (const std::bad_alloc&) {}
    if (known) {
      statistics_.segments.add(1);
      statistics_.reserved_bytes.add(int64_t(size));
      count_live(*block);
    }
  }
  if (known) return data;
  delete block;
  system_.unmap(data, size);
  return nullptr;
}

void Pool::count_live(const Block& block) {
  statistics_.allocations.add(1);
  statistics_.requested_bytes.add(int64_t(block.requested));
  statistics_.allocated_bytes.add(int64_t(block.size()));
}

}  // namespace rusttorch::memory
