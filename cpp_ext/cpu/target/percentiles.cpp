// Exact percentiles by counting: floats ordered as integers, a histogram of their upper halves, and for each wanted
// rank one of the lower halves within its upper half. Outliers of any size cost nothing and spoil nothing.
#include "core/half.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int halves = 1 << 16;
constexpr int most_wanted = 16;
constexpr int pieces = 8;

struct Voxels {
  const float* image;
  const std::uint8_t* mask;
  std::int64_t count;

  bool usable(std::int64_t i) const { return (bits_of(image[i]) & 0x7f800000u) != 0x7f800000u && (!mask || mask[i]); }
};

MMREG_INLINE std::uint32_t ordered(float x) {
  const std::uint32_t u = bits_of(x);
  return u ^ (u >> 31 ? 0xffffffffu : 0x80000000u);
}
MMREG_INLINE float from_ordered(std::uint32_t k) { return float_of(k ^ (k >> 31 ? 0x80000000u : 0xffffffffu)); }

struct Rank {  // the index-th least voxel: first its upper half, then its value
  std::int64_t index;
  std::uint32_t upper;
  float value;
};

// Finds the bin that holds the index-th sample, and takes the samples before that bin off the index.
std::uint32_t descend(const std::uint32_t* table, std::int64_t& index) {
  std::uint32_t bin = 0;
  for (; index >= table[bin]; ++bin) index -= table[bin];
  return bin;
}

// Counts of the upper halves; returns how many voxels are usable.
std::int64_t count_upper(Queue& queue, const Voxels& v, std::uint32_t* tables) {
  const std::int64_t grain = (v.count + pieces - 1) / pieces;
  parallel(queue, pieces, 1, [&](std::int64_t p, std::int64_t) {
    std::uint32_t* table = tables + p * halves;
    for (int i = 0; i < halves; ++i) table[i] = 0;
    const std::int64_t end = (p + 1) * grain < v.count ? (p + 1) * grain : v.count;
    for (std::int64_t i = p * grain; i < end; ++i)
      if (v.usable(i)) ++table[ordered(v.image[i]) >> 16];
  });
  std::int64_t total = 0;
  for (int i = 0; i < halves; ++i) {
    for (int p = 1; p < pieces; ++p) tables[i] += tables[p * halves + i];
    total += tables[i];
  }
  return total;
}

void count_lower(const Voxels& v, std::uint32_t upper, std::uint32_t* table) {
  for (int i = 0; i < halves; ++i) table[i] = 0;
  for (std::int64_t i = 0; i < v.count; ++i) {
    const std::uint32_t key = ordered(v.image[i]);
    if (key >> 16 == upper && v.usable(i)) ++table[key & 0xffffu];
  }
}

void find_ranks(Queue& queue, const Voxels& v, std::uint32_t* tables, Rank* ranks, int count) {
  for (int i = 0; i < count; ++i) ranks[i].upper = descend(tables, ranks[i].index);
  parallel(queue, count, 1, [&](std::int64_t i, std::int64_t) {
    if (i > 0 && ranks[i].upper == ranks[i - 1].upper) return;  // the rank before counts for both
    std::uint32_t* table = tables + i * halves;
    count_lower(v, ranks[i].upper, table);
    for (std::int64_t j = i; j < count && ranks[j].upper == ranks[i].upper; ++j) {
      std::int64_t index = ranks[j].index;
      ranks[j].value = from_ordered(ranks[j].upper << 16 | descend(table, index));
    }
  });
}

}  // namespace

std::int64_t percentiles(Queue& queue, const float* image, const std::uint8_t* mask, std::int64_t count,
                         const double* fractions, int wanted, float* values) {
  const Voxels v{image, mask, count};
  Scratch<std::uint32_t> tables(queue, std::int64_t(2 * most_wanted) * halves);
  const std::int64_t usable = count_upper(queue, v, tables);
  if (!usable) return 0;
  Rank ranks[2 * most_wanted];
  for (int i = 0; i < wanted; ++i) {
    const std::int64_t low = std::int64_t(fractions[i] * double(usable - 1));
    ranks[2 * i] = {low, 0, 0};
    ranks[2 * i + 1] = {low + 1 < usable ? low + 1 : low, 0, 0};
  }
  find_ranks(queue, v, tables, ranks, 2 * wanted);
  for (int i = 0; i < wanted; ++i) {
    const double position = fractions[i] * double(usable - 1), t = position - double(std::int64_t(position));
    values[i] = float(ranks[2 * i].value + t * (double(ranks[2 * i + 1].value) - ranks[2 * i].value));
  }
  return usable;
}

}  // namespace mmreg::MMREG_TARGET
