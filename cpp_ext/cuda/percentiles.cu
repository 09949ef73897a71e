// Exact percentiles by counting: floats ordered as integers, and three passes, each of which counts the next digit of
// those whose digits so far are those of a wanted rank.
#include <algorithm>
#include <vector>

#include "core/percentiles.h"
#include "cuda/launch.h"
#include "cuda/queue.h"
#include "solver/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

typedef unsigned long long Word;

struct Digit {
  int shift, bits;
};
constexpr Digit digits[3] = {{21, 11}, {10, 11}, {0, 10}};  // of a key, the first first

constexpr int table_size = 1 << 11, most_tables = 4;  // in the shared memory of a block
constexpr int side_by_side = 4, turns = 8;
constexpr int piece = side_by_side * turns * block_threads;

struct Voxels {
  const float* image;
  const std::uint8_t* mask;
  std::int64_t count;

  MMREG_DEVICE std::uint32_t key(std::int64_t i) const {
    const bool counts = i < count && (!mask || mask[i]);
    return counts ? std::uint32_t(key_of(std::int32_t(bits_of(image[i])))) : std::uint32_t(left_out);
  }
};

struct Pass {  // counts a digit of the keys that begin with one of these
  Digit digit;
  int tables;
  std::uint32_t begins[most_tables];
};

struct Run {  // of keys that are counted in the same place: neighbours often are
  int place;
  std::uint32_t count;
};

MMREG_DEVICE void add(const Run& run, std::uint32_t* counts) {
  if (run.count) atomic_add(counts + run.place, run.count);
}

MMREG_DEVICE void count_key(const Pass& pass, std::uint32_t key, std::uint32_t* counts, Run& run) {
  if (key == std::uint32_t(left_out)) return;
  const std::uint32_t begin = std::uint32_t(std::uint64_t(key) >> (pass.digit.shift + pass.digit.bits));
  for (int k = 0; k < most_tables; ++k) {
    if (k >= pass.tables || begin != pass.begins[k]) continue;
    const int place = k * table_size + int(key >> pass.digit.shift & ((1u << pass.digit.bits) - 1));
    if (place != run.place) {
      add(run, counts);
      run = {place, 0};
    }
    ++run.count;
  }
}

MMREG_DEVICE void count_piece(const Voxels& v, const Pass& pass, int index, int thread, std::uint32_t* counts) {
  Run run{0, 0};
  const std::int64_t first = std::int64_t(index) * piece + thread * side_by_side;
  for (int turn = 0; turn < turns; ++turn) {
    std::uint32_t key[side_by_side];
    for (int k = 0; k < side_by_side; ++k) key[k] = v.key(first + turn * side_by_side * block_threads + k);
    for (int k = 0; k < side_by_side; ++k) count_key(pass, key[k], counts, run);
  }
  add(run, counts);
}

void count_digits(Queue& queue, const Voxels& v, const Pass& pass, Word* totals) {
  const int size = pass.tables * table_size;
  for_each(queue, size, [=] MMREG_DEVICE(std::int64_t i) { totals[i] = 0; });
  for_blocks(queue, (v.count + piece - 1) / piece, size * int(sizeof(std::uint32_t)),
             [=] MMREG_DEVICE(const Block& block) {
               std::uint32_t* const counts = reinterpret_cast<std::uint32_t*>(block.memory);
               block.threads([=] MMREG_DEVICE(int t) {
                 for (int i = t; i < size; i += block_threads) counts[i] = 0;
               });
               block.threads([&] MMREG_DEVICE(int t) { count_piece(v, pass, block.index, t, counts); });
               block.threads([=] MMREG_DEVICE(int t) {
                 for (int i = t; i < size; i += block_threads)
                   if (counts[i]) atomic_add(totals + i, Word(counts[i]));
               });
             });
}

struct Rank {  // the index-th least of those that begin so
  std::int64_t index;
  std::uint32_t begin;
};

class Counter {
 public:
  Counter(Queue& queue, const Voxels& v)
      : queue_(queue), voxels_(v), totals_(queue, most_tables * table_size), found_(most_tables * table_size) {}

  const Word* operator()(const Pass& pass) {  // a table for each of its beginnings
    count_digits(queue_, voxels_, pass, totals_.data());
    download(queue_, found_.data(), totals_.data(), sizeof(Word) * std::size_t(pass.tables) * table_size);
    return found_.data();
  }

 private:
  Queue& queue_;
  Voxels voxels_;
  Scratch<Word> totals_;
  std::vector<Word> found_;
};

// The beginnings of the ranks, each once, as many to a pass as it has tables.
std::vector<Pass> passes_of(const std::vector<Rank>& ranks, Digit digit) {
  std::vector<std::uint32_t> begins;
  for (const Rank& r : ranks) begins.push_back(r.begin);
  std::sort(begins.begin(), begins.end());
  begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
  std::vector<Pass> passes;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    if (i % most_tables == 0) passes.push_back({digit, 0, {}});
    passes.back().begins[passes.back().tables++] = begins[i];
  }
  return passes;
}

// Adds the digit that was counted to the ranks whose beginnings are those of the pass.
void follow(const Pass& pass, const Word* tables, const std::vector<Rank>& ranks, std::vector<Rank>& longer) {
  for (std::size_t i = 0; i < ranks.size(); ++i)
    for (int k = 0; k < pass.tables; ++k)
      if (ranks[i].begin == pass.begins[k])
        longer[i].begin = ranks[i].begin << pass.digit.bits | descend(tables + k * table_size, longer[i].index);
}

std::vector<Rank> ranks_of(const double* fractions, int wanted, std::int64_t usable) {
  std::vector<Rank> ranks;
  for (int i = 0; i < wanted; ++i) {
    const Percentile p = percentile(fractions[i], usable);
    ranks.push_back({p.low, 0}), ranks.push_back({p.high, 0});
  }
  return ranks;
}

}  // namespace

std::int64_t percentiles(Queue& queue, const float* image, const std::uint8_t* mask, std::int64_t count,
                         const double* fractions, int wanted, float* values) {
  Counter counted(queue, {image, mask, count});
  const Pass all{digits[0], 1, {}};
  const Word* const table = counted(all);
  std::int64_t usable = 0;
  for (int i = 0; i < table_size; ++i) usable += std::int64_t(table[i]);
  if (!usable) return 0;
  const std::vector<Rank> unknown = ranks_of(fractions, wanted, usable);
  std::vector<Rank> ranks = unknown;
  follow(all, table, unknown, ranks);
  for (int d = 1; d < 3; ++d) {
    const std::vector<Rank> before = ranks;
    for (const Pass& pass : passes_of(before, digits[d])) follow(pass, counted(pass), before, ranks);
  }
  for (int i = 0; i < wanted; ++i)
    values[i] =
        between(number_of(ranks[2 * i].begin), number_of(ranks[2 * i + 1].begin), percentile(fractions[i], usable).t);
  return usable;
}

}  // namespace mmreg::MMREG_TARGET
