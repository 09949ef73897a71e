// Order statistics of an image by counting: a histogram of the upper halves of integer keys, and for each requested
// rank one of the lower halves within its upper half. Exact, and outliers of any size cost nothing.
#pragma once
#include "core/percentiles.h"
#include "cpu/target/operations.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

constexpr int kHalves = 1 << 16;
constexpr int kPieces = 4;

constexpr int kBlock = 512;

struct Voxels {
  const float* image;
  const std::uint8_t* mask;
  std::int64_t count;
};

// Computes the keys of the voxels [begin, begin + count), count at most kBlock.
inline void find_keys(const Voxels& v, std::int64_t begin, int count, std::int32_t* keys) {
  for (int i = 0; i < count; i += kLanes)
    store(keys + i, key_of(bits(load(v.image + begin + i, count - i < kLanes ? count - i : kLanes))));
  if (v.mask)
    for (int i = 0; i < count; ++i) keys[i] = v.mask[begin + i] ? keys[i] : kLeftOut;
}

struct Rank {  // the index-th smallest voxel: first the upper half of its key, then its value
  std::int64_t index;
  std::uint32_t upper;
  float value;
};

// Counts the upper halves. Returns the number of voxels that count. Neighbours often have equal upper halves, and an
// increment waits for the previous write to its count, so that consecutive voxels use two tables in turn.
inline std::int64_t count_upper(Queue& queue, const Voxels& v, std::uint32_t* tables) {
  const std::int64_t grain = (v.count + kPieces - 1) / kPieces;
  parallel(queue, kPieces, 1, [&](std::int64_t p, std::int64_t) {
    std::uint32_t* table = tables + 2 * p * kHalves;
    for (int i = 0; i < 2 * kHalves; ++i) table[i] = 0;
    std::int32_t keys[kBlock];
    const std::int64_t end = (p + 1) * grain < v.count ? (p + 1) * grain : v.count;
    for (std::int64_t i = p * grain; i < end; i += kBlock) {
      const int count = end - i < kBlock ? int(end - i) : kBlock;
      find_keys(v, i, count, keys);
      for (int k = 0; k < count; ++k) ++table[k % 2 * kHalves + int(std::uint32_t(keys[k]) >> 16)];
    }
  });
  std::int64_t total = 0;
  for (int i = 0; i < kHalves - 1; ++i) {  // the last count is that of skipped voxels
    for (int p = 1; p < 2 * kPieces; ++p) tables[i] += tables[p * kHalves + i];
    total += tables[i];
  }
  return total;
}

inline void count_lower(const Voxels& v, std::uint32_t upper, std::uint32_t* table) {
  for (int i = 0; i < kHalves; ++i) table[i] = 0;
  std::int32_t keys[kBlock];
  const Ints requested = splat(std::int32_t(upper));
  for (std::int64_t i = 0; i < v.count; i += kBlock) {
    const int count = v.count - i < kBlock ? int(v.count - i) : kBlock;
    find_keys(v, i, count, keys);
    for (int k = 0; k < count; k += kLanes) {
      if (!any((load(keys + k) >> 16 & 0xffff) == requested)) continue;
      for (int j = k; j < k + kLanes && j < count; ++j)
        if (std::uint32_t(keys[j]) >> 16 == upper) ++table[keys[j] & 0xffff];
    }
  }
}

inline void find_ranks(Queue& queue, const Voxels& v, std::uint32_t* tables, Rank* ranks, int count) {
  for (int i = 0; i < count; ++i) ranks[i].upper = descend(tables, ranks[i].index);
  parallel(queue, count, 1, [&](std::int64_t i, std::int64_t) {
    if (i > 0 && ranks[i].upper == ranks[i - 1].upper) return;  // the previous rank handles both
    std::uint32_t* table = tables + i * kHalves;
    count_lower(v, ranks[i].upper, table);
    for (std::int64_t j = i; j < count && ranks[j].upper == ranks[i].upper; ++j) {
      std::int64_t index = ranks[j].index;
      ranks[j].value = number_of(ranks[j].upper << 16 | descend(table, index));
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
