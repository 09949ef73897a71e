// The n-th least voxels of an image, by counting: floats ordered as integers, and three passes, each of which counts
// the next digit of those whose digits so far are those of a requested rank. Does not wait for the queue.
#pragma once
#include "core/percentiles.h"
#include "cuda/launch.h"
#include "cuda/queue.h"

namespace mmreg::MMREG_TARGET {

typedef unsigned long long Word;

constexpr int kTableBits = 11, kTableSize = 1 << kTableBits, kMostTables = 4;  // in the shared memory of a block
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

struct Wanted {
  int count;  // of the fractions, at most kMostWanted
  double fractions[kMostWanted];
  bool nearest;               // a voxel's own value; else between the two voxels where the fraction lies
  const std::int64_t* below;  // fractions are of the voxels above so many least ones; nullptr: of all. On the device
};

struct OrderStatistics {  // on the device
  float values[kMostWanted];
  std::int64_t usable;  // how many voxels count
};

struct Digit {
  int shift, bits;
};

struct Ranks {  // two to a fraction: the index-th least voxels of those whose keys begin so
  std::int64_t usable, index[2 * kMostWanted];
  std::uint32_t begin[2 * kMostWanted];
  double t[kMostWanted];
};

struct Tables {  // of four ranks; those that begin alike share the first one's
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

struct Streak {  // of keys that are counted in the same place: neighbours often are
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

// The tables of the ranks of a group; `used` of them.
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

// The requested position of rank r, now that the number of voxels is known.
MMREG_DEVICE inline void aim(const Wanted& wanted, int r, std::int64_t usable, Ranks& ranks) {
  const std::int64_t below = wanted.below ? *wanted.below : 0;
  if (r == 0) ranks.usable = usable;
  if (r >= 2 * wanted.count || usable <= below) return;
  const double fraction = wanted.fractions[r / 2];
  const Percentile p = percentile(fraction, usable - below);
  const std::int64_t index = r % 2 ? p.high : p.low;
  ranks.index[r] = below + (wanted.nearest ? nearest_rank(fraction, usable - below) : index);
  ranks.t[r / 2] = wanted.nearest ? 0 : p.t;
}

// Adds the digit that was counted to rank r, from the sums of the bins by eights.
MMREG_DEVICE inline void lengthen(const Ranks& before, const Word* totals, const Word* eights, int r, Digit digit,
                                  Ranks& after) {
  std::int64_t index = before.index[r];
  const std::uint32_t eight = descend(eights, index), bin = 8 * eight + descend(totals + 8 * eight, index);
  after.begin[r] = before.begin[r] << digit.bits | bin;
  after.index[r] = index;
}

// One block to a rank. The first digit also gives the number of voxels.
inline void follow(Queue& queue, const Wanted& wanted, Digit digit, bool first, const Word* totals, Ranks* before,
                   Ranks* after) {
  static_assert(8 * kBlockThreads == kTableSize, "a thread sums eight bins");
  for_blocks(queue, 2 * wanted.count, kBlockThreads * int(sizeof(Word)), [=] MMREG_DEVICE(const Block& block) {
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
        aim(wanted, r, usable, *before);
      }
      if (r == 0) after->usable = usable;
      if (r % 2 == 0) after->t[r / 2] = before->t[r / 2];
      if (usable > (wanted.below ? *wanted.below : 0)) lengthen(*before, table, eights, r, digit, *after);
    });
  });
}

inline void find_order_statistics(Queue& queue, const Voxels& v, const Wanted& wanted, OrderStatistics* found) {
  constexpr Digit digits[3] = {{21, 11}, {10, 11}, {0, 10}};  // of a key, the first first
  const int groups = (2 * wanted.count + kMostTables - 1) / kMostTables;
  const Scratch<Word> totals(queue, groups * kMostTables * kTableSize);
  const Scratch<Ranks> ranks(queue, 2);
  Ranks *before = ranks.data(), *after = before + 1;
  for_each(queue, 2 * kMostWanted, [=] MMREG_DEVICE(std::int64_t i) { before->begin[i] = after->begin[i] = 0; });
  for (int d = 0; d < 3; ++d) {
    for (int group = 0; group < (d ? groups : 1); ++group)
      count_digits(queue, v, before, group, d ? kMostTables : 1, digits[d],
                   totals.data() + group * kMostTables * kTableSize);
    follow(queue, wanted, digits[d], d == 0, totals.data(), before, after);
    Ranks* const longer = after;
    after = before;
    before = longer;
  }
  const Ranks* const last = before;
  for_each(queue, wanted.count, [=] MMREG_DEVICE(std::int64_t i) {
    if (i == 0) found->usable = last->usable;
    found->values[i] = between(number_of(last->begin[2 * i]), number_of(last->begin[2 * i + 1]), last->t[i]);
  });
}

}  // namespace mmreg::MMREG_TARGET
