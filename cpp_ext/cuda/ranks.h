// Order statistics of an image by counting (radix select): each of three passes counts the next digit of the integer
// keys whose previous digits are those of a requested rank. Does not wait for the queue.
#pragma once
#include "core/percentiles.h"
#include "cuda/launch.h"
#include "cuda/queue.h"

namespace mmreg::MMREG_TARGET {

typedef unsigned long long Word;

constexpr int kTableBits = 11, kTableSize = 1 << kTableBits, kMostTables = 4;  // in shared memory
constexpr int kSideBySide = 4, kTurns = 8;
constexpr int kKeyPiece = kSideBySide * kTurns * kBlockThreads;

struct Voxels {
  const float* image;
  const std::uint8_t* mask;
  std::int64_t count;

  MMREG_DEVICE std::uint32_t key(std::int64_t i) const {
    const bool counts = i < count && (!mask || mask[i]);
    return counts ? std::uint32_t(key_of(std::int32_t(bits_of(image[i])))) : std::uint32_t(kLeftOut);
  }
};

struct Query {
  int count;  // number of fractions, at most kMostFractions
  double fractions[kMostFractions];
  bool nearest;               // nearest rank; otherwise interpolate between two voxels
  const std::int64_t* below;  // number of smallest voxels to exclude, in device memory; nullptr: none
};

struct OrderStatistics {  // in device memory
  float values[kMostFractions];
  std::int64_t usable;  // number of voxels that count
};

struct Digit {
  int shift, bits;
};

struct Ranks {  // two per fraction: the index-th smallest of the voxels whose keys start with `begin`
  std::int64_t usable, index[2 * kMostFractions];
  std::uint32_t begin[2 * kMostFractions];
  double t[kMostFractions];
};

struct Tables {  // of four ranks; ranks with equal `begin` share a table
  std::uint32_t begins[kMostTables];
  int of[kMostTables];

  MMREG_DEVICE Tables(const Ranks& ranks, int group) {
    for (int k = 0; k < kMostTables; ++k) {
      begins[k] = ranks.begin[group * kMostTables + k];
      of[k] = k;
      for (int j = k - 1; j >= 0; --j)
        if (begins[j] == begins[k]) of[k] = j;
    }
  }
};

struct Streak {  // consecutive keys counted in the same place, as those of neighbours often are
  int place;
  std::uint32_t count;
};

MMREG_DEVICE inline void add(const Streak& streak, std::uint32_t* counts) {
  if (streak.count) atomic_add(counts + streak.place, streak.count);
}

MMREG_DEVICE inline void count_key(const Tables& tables, int used, const Digit& digit, std::uint32_t key,
                                   std::uint32_t* counts, Streak& streak) {
  if (key == std::uint32_t(kLeftOut)) return;
  const std::uint32_t begin = std::uint32_t(std::uint64_t(key) >> (digit.shift + digit.bits));
  for (int k = 0; k < kMostTables; ++k) {
    if (k >= used || tables.of[k] != k || begin != tables.begins[k]) continue;
    const int place = k * kTableSize + int(key >> digit.shift & ((1u << digit.bits) - 1));
    if (place != streak.place) {
      add(streak, counts);
      streak = {place, 0};
    }
    ++streak.count;
  }
}

// Adds the digits of one thread's keys to the counts of its block.
MMREG_DEVICE inline void count_piece(const Voxels& v, const Tables& tables, int used, const Digit& digit, int index,
                                     int thread, std::uint32_t* counts) {
  Streak streak{0, 0};
  const std::int64_t first = std::int64_t(index) * kKeyPiece + thread * kSideBySide;
  for (int turn = 0; turn < kTurns; ++turn) {
    std::uint32_t key[kSideBySide];
    for (int k = 0; k < kSideBySide; ++k) key[k] = v.key(first + turn * kSideBySide * kBlockThreads + k);
    for (int k = 0; k < kSideBySide; ++k) count_key(tables, used, digit, key[k], counts, streak);
  }
  add(streak, counts);
}

// Counts the tables of a group of ranks, the first `used` of them.
inline void count_digits(Queue& queue, const Voxels& v, const Ranks* ranks, int group, int used, Digit digit,
                         Word* totals) {
  const int size = used * kTableSize;
  for_each(queue, size, [=] MMREG_DEVICE(std::int64_t i) { totals[i] = 0; });
  for_blocks(queue, (v.count + kKeyPiece - 1) / kKeyPiece, size * int(sizeof(std::uint32_t)),
             [=] MMREG_DEVICE(const Block& block) {
               std::uint32_t* const counts = reinterpret_cast<std::uint32_t*>(block.memory);
               block.threads([=] MMREG_DEVICE(int t) {
                 for (int i = t; i < size; i += kBlockThreads) counts[i] = 0;
               });
               block.threads([&] MMREG_DEVICE(int t) {
                 count_piece(v, Tables(*ranks, group), used, digit, block.index, t, counts);
               });
               block.threads([=] MMREG_DEVICE(int t) {
                 for (int i = t; i < size; i += kBlockThreads)
                   if (counts[i]) atomic_add(totals + i, Word(counts[i]));
               });
             });
}

// Sets the position of rank r once the number of voxels is known.
MMREG_DEVICE inline void aim(const Query& query, int r, std::int64_t usable, Ranks& ranks) {
  const std::int64_t below = query.below ? *query.below : 0;
  if (r == 0) ranks.usable = usable;
  if (r >= 2 * query.count || usable <= below) return;
  const double fraction = query.fractions[r / 2];
  const Percentile p = percentile(fraction, usable - below);
  const std::int64_t index = r % 2 ? p.high : p.low;
  ranks.index[r] = below + (query.nearest ? nearest_rank(fraction, usable - below) : index);
  ranks.t[r / 2] = query.nearest ? 0 : p.t;
}

// Appends the counted digit to rank r, from the sums of groups of eight bins.
MMREG_DEVICE inline void lengthen(const Ranks& before, const Word* totals, const Word* eights, int r, Digit digit,
                                  Ranks& after) {
  std::int64_t index = before.index[r];
  const std::uint32_t eight = descend(eights, index), bin = 8 * eight + descend(totals + 8 * eight, index);
  after.begin[r] = before.begin[r] << digit.bits | bin;
  after.index[r] = index;
}

// Appends a digit to every rank, one block per rank. The first digit also gives the number of voxels.
inline void follow(Queue& queue, const Query& query, Digit digit, bool first, const Word* totals, Ranks* before,
                   Ranks* after) {
  static_assert(8 * kBlockThreads == kTableSize, "a thread sums eight bins");
  for_blocks(queue, 2 * query.count, kBlockThreads * int(sizeof(Word)), [=] MMREG_DEVICE(const Block& block) {
    Word* const eights = reinterpret_cast<Word*>(block.memory);
    const int r = block.index, group = r / kMostTables;
    const Word* const table =
        totals + (first ? 0 : group * kMostTables + Tables(*before, group).of[r % kMostTables]) * kTableSize;
    block.threads([=] MMREG_DEVICE(int t) {
      eights[t] = 0;
      for (int k = 0; k < 8; ++k) eights[t] += table[8 * t + k];
    });
    block.threads([=] MMREG_DEVICE(int t) {
      if (t) return;
      std::int64_t usable = before->usable;
      if (first) {
        usable = 0;
        for (int k = 0; k < kBlockThreads; ++k) usable += std::int64_t(eights[k]);
        aim(query, r, usable, *before);
      }
      if (r == 0) after->usable = usable;
      if (r % 2 == 0) after->t[r / 2] = before->t[r / 2];
      if (usable > (query.below ? *query.below : 0)) lengthen(*before, table, eights, r, digit, *after);
    });
  });
}

inline void find_order_statistics(Queue& queue, const Voxels& v, const Query& query, OrderStatistics* statistics) {
  constexpr Digit digits[3] = {{21, 11}, {10, 11}, {0, 10}};  // most significant first
  const int groups = (2 * query.count + kMostTables - 1) / kMostTables;
  const Scratch<Word> totals(queue, groups * kMostTables * kTableSize);
  const Scratch<Ranks> ranks(queue, 2);
  Ranks *before = ranks.data(), *after = before + 1;
  for_each(queue, 2 * kMostFractions, [=] MMREG_DEVICE(std::int64_t i) { before->begin[i] = after->begin[i] = 0; });
  for (int d = 0; d < 3; ++d) {
    for (int group = 0; group < (d ? groups : 1); ++group)
      count_digits(queue, v, before, group, d ? kMostTables : 1, digits[d],
                   totals.data() + group * kMostTables * kTableSize);
    follow(queue, query, digits[d], d == 0, totals.data(), before, after);
    Ranks* const longer = after;
    after = before;
    before = longer;
  }
  const Ranks* const last = before;
  for_each(queue, query.count, [=] MMREG_DEVICE(std::int64_t i) {
    if (i == 0) statistics->usable = last->usable;
    statistics->values[i] = between(number_of(last->begin[2 * i]), number_of(last->begin[2 * i + 1]), last->t[i]);
  });
}

}  // namespace mmreg::MMREG_TARGET
