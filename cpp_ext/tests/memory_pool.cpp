// Memory of a queue: blocks do not overlap, and total memory is bounded by the peak use.
#include "ops/memory_pool.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "cpu/memory.h"
#include "tests/check.h"

namespace mmreg::test {
namespace {

struct Held {
  unsigned char* memory;
  std::size_t bytes;
  unsigned char mark;

  bool intact() const {
    return std::all_of(memory, memory + bytes, [this](unsigned char c) { return c == mark; });
  }
};

}  // namespace

TEST(queue_memory, hold_what_was_written_until_they_are_given_back) {
  MemoryPool pool(host_heap);
  std::mt19937 random(7);
  std::vector<Held> held;
  std::size_t most_used = 0;
  for (int i = 0; i < 2000; ++i) {
    if (held.size() < 4 || (held.size() < 12 && random() % 2)) {
      const std::size_t bytes = random() % 4 ? 1 + random() % 200'000 : 4096 * (1 + random() % 8);
      held.push_back({static_cast<unsigned char*>(pool.take(bytes)), bytes, static_cast<unsigned char>(i)});
      CHECK(reinterpret_cast<std::uintptr_t>(held.back().memory) % 64 == 0);
      std::fill_n(held.back().memory, bytes, held.back().mark);
    } else {
      const std::size_t at = random() % held.size();
      CHECK(held[at].intact());
      pool.give_back(held[at].memory);
      held.erase(held.begin() + std::ptrdiff_t(at));
    }
    most_used = std::max(most_used, pool.used_bytes());
    CHECK(pool.used_bytes() + pool.kept_bytes() <= most_used + most_used / 16);
  }
  for (const Held& one : held) CHECK(one.intact());
}

TEST(queue_memory, are_freed_when_they_are_trimmed) {
  MemoryPool pool(host_heap);
  void* const one = pool.take(3 << 20);
  void* const other = pool.take(100);
  pool.give_back(one);
  pool.trim();
  CHECK(pool.kept_bytes() == 0);
  CHECK(pool.used_bytes() >= 100 && pool.used_bytes() < 3 << 20);
  pool.give_back(other);
  CHECK(pool.used_bytes() == 0);
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(queue_memory, serve_again_what_nearly_fits_and_nothing_much_smaller) {
  MemoryPool pool(host_heap);
  void* const one = pool.take(1 << 20);
  pool.give_back(one);
  CHECK(pool.take((1 << 20) - (1 << 16)) == one);
  pool.give_back(one);
  pool.take(1 << 19);
  CHECK(pool.used_bytes() == 1 << 19);  // a new block; it may have the address of the freed one
}
#endif

}  // namespace mmreg::test
