#include "solver/deform/feature_distance.h"

namespace mmreg {

double feature_difference(const Operations& operations, Queue& queue, const DeformInput& input,
                          const DeformFacts& facts, const Factor& factor) {
  const Level level(operations, queue, input, facts, factor, LevelSettings{}.dilation);
  const TableMemory<float> zero = constant(operations, queue, 3 * voxels(level.n), 0);
  TableMemory<float> force(operations, queue, zero.size());
  ForceSums sums{};
  operations.force(queue, {level.fixed.data(), level.moving.data(), level.channels, level.n, level.rows.data(),
                           zero.data(), nullptr, 0, 0, force.data(), nullptr, &sums});
  return sums.count > 0 ? 2 * sums.features / sums.count : 0;
}

}  // namespace mmreg
