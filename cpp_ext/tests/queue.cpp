// The thread pool: every piece runs once, for any number of threads and thousands of rounds; memory is reused.
#include "cpu/queue.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "tests/arrays.h"
#include "tests/check.h"

namespace mmreg::test {

static const Operations& table() { return *cpu_operations("baseline"); }

TEST(queue, runs_each_piece_once) {
  for (int threads : {1, 2, 3, 7}) {
    const auto queue = open(table(), threads);
    for (std::int64_t count : {0, 1, 2, 63, 64, 65, 1000}) {
      std::vector<std::atomic<int>> counts(static_cast<std::size_t>(count));
      parallel(*queue, count, 7, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) counts[std::size_t(i)]++;
      });
      CHECK(std::all_of(counts.begin(), counts.end(), [](const auto& n) { return n == 1; }));
    }
  }
}

TEST(queue, thousands_of_short_rounds_do_not_lose_work) {
  for (int threads : {2, 3, 5}) {
    const auto queue = open(table(), threads);
    std::int64_t wrong = 0;
    for (std::int64_t round = 0; round < 3000; ++round) {
      std::int64_t squares[16] = {};  // written by the pool and read without a lock: run() synchronises
      parallel(*queue, 16, 1, [&](std::int64_t i, std::int64_t) { squares[i] = i * i + round; });
      for (std::int64_t i = 0; i < 16; ++i) wrong += squares[i] != i * i + round;
    }
    CHECK(wrong == 0);
  }
}

TEST(queue, opens_and_closes_without_work) {
  for (int round = 0; round < 200; ++round) open(table(), 1 + round % 4);
  CHECK(open(table(), 0) != nullptr);  // as many threads as this process may use
}

TEST(queue, queues_of_two_callers_do_not_meet) {
  std::atomic<std::int64_t> total{0};
  const auto caller = [&] {
    const auto queue = open(table(), 2);
    for (int round = 0; round < 300; ++round)
      parallel(*queue, 10, 1, [&](std::int64_t i, std::int64_t) { total += i; });
  };
  std::thread one(caller), two(caller);
  one.join();
  two.join();
  CHECK(total == 2 * 300 * 45);
}

TEST(queue, scratch_is_aligned_and_apart) {
  const auto queue = open(table(), 2);
  for (int round = 0; round < 100; ++round) {
    Scratch<float> one(*queue, 1000), two(*queue, 10);
    float* const first = one;
    float* const second = two;
    CHECK(reinterpret_cast<std::uintptr_t>(first) % 64 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(second) % 64 == 0);
    CHECK(second + 10 <= first || first + 1000 <= second);
    std::memset(first, 0xff, 1000 * sizeof(float));
  }
}

}  // namespace mmreg::test
