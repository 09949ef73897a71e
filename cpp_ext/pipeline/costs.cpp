#include "pipeline/costs.h"

#include <algorithm>

#include "solver/table_memory.h"

namespace mmreg {
namespace {

constexpr std::int64_t kLeastPlanes = 2, kPartOfScan = 16;

// In times of sampling the moving scan at as many voxels: ratios of arithmetic, much the same on any machine.
// benchmarks/finish_costs.py measures them.
constexpr double kRender = 2, kHandingOut = 2, kInverse = 12, kFigures = 16;

Extent part_of(Extent n) {
  n.d = int(std::min<std::int64_t>(n.d, std::max<std::int64_t>(kLeastPlanes, n.d / kPartOfScan)));
  return n;
}

}  // namespace

Costs costs_of_finish(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving,
                      const Clock& clock) {
  const Extent part = part_of(fixed.extent);
  const std::size_t count = std::size_t(voxels(part));
  const double start = clock.seconds();
  const TableMemory<float> u = constant(operations, queue, 3 * std::int64_t(count), 0),
                           warped(operations, queue, count);
  const TableMemory<std::uint8_t> valid(operations, queue, count);
  operations.warp(queue, moving.data, 1, moving.extent, u.data(), part, Interpolation::linear, Border::zero,
                  warped.data(), valid.data());
  float last = 0;
  operations.download(queue, &last, warped.data(), sizeof last);  // waits
  const double per_voxel = (clock.seconds() - start) / double(count);
  const double n = double(voxels(fixed.extent)), m = double(voxels(moving.extent));
  return {kRender * per_voxel * n, kHandingOut * per_voxel * (n + m), kInverse * per_voxel * 0.5 * (n + m),
          kFigures * per_voxel * n};
}

}  // namespace mmreg
