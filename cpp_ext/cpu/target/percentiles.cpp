// Exact percentiles, interpolated between voxels.
#include "cpu/target/ranks.h"

namespace mmreg::MMREG_TARGET {

std::int64_t percentiles(Queue& queue, const float* image, const std::uint8_t* mask, std::int64_t count,
                         const double* fractions, int fraction_count, float* values) {
  const Voxels v{image, mask, count};
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
