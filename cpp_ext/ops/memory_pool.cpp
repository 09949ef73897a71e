#include "ops/memory_pool.h"

#include <algorithm>
#include <iterator>
#include <new>

namespace mmreg {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kWaste = 8;   // a cached block is reused if at most 1/8 of it stays unused
constexpr std::size_t kSlack = 16;  // total memory may exceed the peak use by 1/16

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeep = false;  // no caching: the sanitizer checks the bounds and lifetime of every block
#else
constexpr bool kKeep = true;
#endif

}  // namespace

void MemoryPool::clear() {
  const std::lock_guard<std::mutex> hold(mutex_);
  for (const Block& block : used_) heap_.release(block.memory);
  used_.clear();
  used_bytes_ = 0;
  shrink(0);
}

void* MemoryPool::take(std::size_t bytes) {
  const std::lock_guard<std::mutex> hold(mutex_);
  used_.reserve(used_.size() + 1);
  kept_.reserve(used_.size() + kept_.size() + 1);  // give_back must not throw
  if (kKeep) bytes = (bytes + kPage - 1) / kPage * kPage;
  Block* best = nullptr;
  for (Block& block : kept_)
    if (block.bytes >= bytes && (!best || block.bytes < best->bytes)) best = &block;
  if (best && best->bytes - bytes <= std::max(best->bytes / kWaste, kPage)) {
    used_.push_back(*best);
    kept_bytes_ -= best->bytes;
    kept_.erase(kept_.begin() + (best - kept_.data()));
  } else {
    const std::size_t needed = used_bytes_ + bytes;
    const std::size_t most = most_used_bytes_ + most_used_bytes_ / kSlack;
    if (!heap_.keeps_all) shrink(most > needed ? most - needed : 0);
    used_.push_back({fresh(bytes), bytes});
  }
  used_bytes_ += used_.back().bytes;
  most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
  return used_.back().memory;
}

void* MemoryPool::fresh(std::size_t bytes) {
  try {
    return heap_.allocate(bytes);
  } catch (const std::bad_alloc&) {
    if (kept_.empty()) throw;
    shrink(0);
    return heap_.allocate(bytes);
  }
}

void MemoryPool::give_back(void* memory) {
  const std::lock_guard<std::mutex> hold(mutex_);
  const auto block = std::find_if(used_.rbegin(), used_.rend(), [&](const Block& b) { return b.memory == memory; });
  if (block == used_.rend()) return;
  used_bytes_ -= block->bytes;
  kept_bytes_ += block->bytes;
  kept_.push_back(*block);
  used_.erase(std::next(block).base());
  if (!kKeep) shrink(0);
}

void MemoryPool::trim() {
  const std::lock_guard<std::mutex> hold(mutex_);
  shrink(0);
}

void MemoryPool::shrink(std::size_t most_kept) {
  std::size_t freed = 0;
  for (; kept_bytes_ > most_kept; ++freed) {
    kept_bytes_ -= kept_[freed].bytes;
    heap_.release(kept_[freed].memory);
  }
  kept_.erase(kept_.begin(), kept_.begin() + std::ptrdiff_t(freed));
}

}  // namespace mmreg
