// Exact percentiles, interpolated between voxels.
#include "cpu/target/ranks.h"
#include "cpu/target/selection.h"

namespace mmreg::MMREG_TARGET {

namespace {

constexpr std::int64_t kFew = 1 << 15;  // with so few voxels, clearing tables takes longer than selecting

std::int64_t percentiles_of_few(Queue& queue, const Voxels& v, const double* fractions, int fraction_count,
                                float* values) {
  Scratch<std::uint32_t> keys(queue, v.count + 1);
  const std::int64_t usable = gather_keys(v, keys);
  for (int i = 0; usable && i < fraction_count; ++i) {
    const Percentile p = percentile(fractions[i], usable);
    const std::uint32_t low = select(keys, usable, p.low);
    values[i] = between(number_of(low), number_of(next_key(keys, usable, p)), p.t);
  }
  return usable;
}

}  // namespace

std::int64_t percentiles(Queue& queue, const float* image, const std::uint8_t* mask, std::int64_t count,
                         const double* fractions, int fraction_count, float* values) {
  const Voxels v{image, mask, count};
  if (count <= kFew) return percentiles_of_few(queue, v, fractions, fraction_count, values);
  Scratch<std::uint32_t> tables(queue, std::int64_t(2 * kMostFractions) * kHalves);
  const std::int64_t usable = count_upper(queue, v, tables);
  if (!usable) return 0;
  Rank ranks[2 * kMostFractions];
  for (int i = 0; i < fraction_count; ++i) {
    const Percentile p = percentile(fractions[i], usable);
    ranks[2 * i] = {p.low, 0, 0};
    ranks[2 * i + 1] = {p.high, 0, 0};
  }
  find_ranks(queue, v, tables, ranks, 2 * fraction_count);
  for (int i = 0; i < fraction_count; ++i)
    values[i] = between(ranks[2 * i].value, ranks[2 * i + 1].value, percentile(fractions[i], usable).t);
  return usable;
}

}  // namespace mmreg::MMREG_TARGET
