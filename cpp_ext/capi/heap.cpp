// operator new of the library: blocks of the C++ containers are kept by size and reused, so that a session takes no
// memory from the system after its warm-up. Only this library uses it: its symbols are hidden, and the C++ library is
// linked in.
#include "capi/heap.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // they check the bounds and lifetime of every block
namespace {

constexpr int kSteps = 8;              // sizes from one power of two to the next: at most 1/8 of a block is unused
constexpr int kSizes = kSteps * 44;    // up to 2^48 bytes
constexpr std::size_t kSmallest = 32;  // bytes

struct alignas(std::max_align_t) Block {
  union {
    std::size_t size_index;  // while it is in use
    Block* next;             // while it is kept
  };
};

struct Kept {
  std::mutex mutex;
  Block* first[kSizes] = {};
};
Kept kept;

int index_of(std::size_t bytes) {
  if (bytes <= kSmallest) return 0;
  const int power = 63 - __builtin_clzll(bytes - 1);  // 2^power < bytes <= 2^(power + 1)
  const std::size_t step = (std::size_t(1) << power) / kSteps;
  return (power - 5) * kSteps + int((bytes - 1 - (std::size_t(1) << power)) / step) + 1;
}

std::size_t size_of(int index) {
  if (index == 0) return kSmallest;
  const int power = (index - 1) / kSteps + 5;
  return (std::size_t(1) << power) + std::size_t((index - 1) % kSteps + 1) * ((std::size_t(1) << power) / kSteps);
}

void* take(std::size_t bytes) noexcept {
  if (bytes > std::size_t(1) << 47) return nullptr;
  const int index = index_of(bytes);
  Block* block = nullptr;
  {
    const std::lock_guard<std::mutex> hold(kept.mutex);
    block = kept.first[index];
    if (block) kept.first[index] = block->next;
  }
  if (!block) block = static_cast<Block*>(std::malloc(sizeof(Block) + size_of(index)));
  if (!block) return nullptr;
  block->size_index = std::size_t(index);
  return block + 1;
}

void give_back(void* memory) noexcept {
  if (!memory) return;
  Block* const block = static_cast<Block*>(memory) - 1;
  const std::lock_guard<std::mutex> hold(kept.mutex);
  Block*& first = kept.first[block->size_index];
  block->next = first;
  first = block;
}

}  // namespace

void* operator new(std::size_t bytes) {
  if (void* const memory = take(bytes)) return memory;
  mmreg::capi::release_kept_blocks();
  if (void* const memory = take(bytes)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes); }
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete[](void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give_back(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { give_back(memory); }

void mmreg::capi::release_kept_blocks() {
  const std::lock_guard<std::mutex> hold(kept.mutex);
  for (Block*& first : kept.first)
    while (Block* const block = first) {
      first = block->next;
      std::free(block);
    }
}
#else
void mmreg::capi::release_kept_blocks() {}
#endif
