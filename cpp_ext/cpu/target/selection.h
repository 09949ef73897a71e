// Order statistics of few voxels by selection (Hoare, "Find", 1961), on the integer keys of ranks.h.
#pragma once
#include "cpu/target/ranks.h"

namespace mmreg::MMREG_TARGET {

// Writes the keys of the voxels that count to `keys`, which has room for one more. Returns their number.
inline std::int64_t gather_keys(const Voxels& v, std::uint32_t* keys) {
  std::int64_t usable = 0;
  std::int32_t block[kBlock];
  for (std::int64_t i = 0; i < v.count; i += kBlock) {
    const int count = v.count - i < kBlock ? int(v.count - i) : kBlock;
    find_keys(v, i, count, block);
    for (int k = 0; k < count; ++k) {
      keys[usable] = std::uint32_t(block[k]);
      usable += block[k] != kLeftOut;
    }
  }
  return usable;
}

inline void swap(std::uint32_t& a, std::uint32_t& b) {
  const std::uint32_t t = a;
  a = b;
  b = t;
}

// Returns the key of this rank, and orders the keys so that none before it is larger and none after it smaller.
inline std::uint32_t select(std::uint32_t* keys, std::int64_t count, std::int64_t rank) {
  std::uint64_t seed = 1;
  for (std::int64_t first = 0, end = count;;) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;  // any pivot will do: a fixed one could be unlucky
    const std::uint32_t pivot = keys[first + std::int64_t((seed >> 33) % std::uint64_t(end - first))];
    std::int64_t low = first, at = first, high = end;  // [first, low) < pivot, [low, at) equal, [high, end) > pivot
    while (at < high) {
      if (keys[at] < pivot)
        swap(keys[low++], keys[at++]);
      else if (keys[at] > pivot)
        swap(keys[at], keys[--high]);
      else
        ++at;
    }
    if (rank < low)
      end = low;
    else if (rank >= high)
      first = high;
    else
      return pivot;
  }
}

// Returns the key of rank p.high after the selection of p.low.
inline std::uint32_t next_key(const std::uint32_t* keys, std::int64_t count, const Percentile& p) {
  if (p.high == p.low) return keys[p.low];
  std::uint32_t least = keys[p.high];
  for (std::int64_t i = p.high + 1; i < count; ++i) least = keys[i] < least ? keys[i] : least;
  return least;
}

}  // namespace mmreg::MMREG_TARGET
