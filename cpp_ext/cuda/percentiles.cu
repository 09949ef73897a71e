// Exact percentiles, interpolated between voxels.
#include <algorithm>

#include "cuda/ranks.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

std::int64_t percentiles(Queue& queue, const float* image, const std::uint8_t* mask, std::int64_t count,
                         const double* fractions, int wanted, float* values) {
  Wanted asked{wanted, {}, false, nullptr};
  std::copy(fractions, fractions + wanted, asked.fractions);
  const Scratch<OrderStatistics> found(queue, 1);
  find_order_statistics(queue, {image, mask, count}, asked, found.data());
  OrderStatistics here;
  download(queue, &here, found.data(), sizeof here);
  if (here.usable) std::copy(here.values, here.values + wanted, values);
  return here.usable;
}

}  // namespace mmreg::MMREG_TARGET
