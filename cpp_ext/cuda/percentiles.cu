// Exact percentiles, interpolated between voxels.
#include <algorithm>

#include "cuda/ranks.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

std::int64_t percentiles(Queue& queue, const float* image, const std::uint8_t* mask, std::int64_t count,
                         const double* fractions, int fraction_count, float* values) {
  Query query{fraction_count, {}, false, nullptr};
  std::copy(fractions, fractions + fraction_count, query.fractions);
  const Scratch<OrderStatistics> on_device(queue, 1);
  find_order_statistics(queue, {image, mask, count}, query, on_device.data());
  OrderStatistics statistics;
  download(queue, &statistics, on_device.data(), sizeof statistics);
  if (statistics.usable) std::copy(statistics.values, statistics.values + fraction_count, values);
  return statistics.usable;
}

}  // namespace mmreg::MMREG_TARGET
