#include "pipeline/costs.h"

#include <algorithm>
#include <vector>

#include "ops/buffer.h"

namespace mmreg {
namespace {

constexpr std::int64_t kLeastPlanes = 2, kPartOfScan = 16;

// Costs relative to sampling the moving scan at as many voxels, and to copying as many numbers: ratios of arithmetic
// that are similar on any machine. benchmarks/registration/finish_costs.py measures them.
constexpr double kRender = 3.5, kHandingOut = 1.5, kInverse = 14, kFigures = 26;

Extent part_of(Extent n) {
  n.d = int(std::min<std::int64_t>(n.d, std::max<std::int64_t>(kLeastPlanes, n.d / kPartOfScan)));
  return n;
}

}  // namespace

Costs costs_of_finish(const Context& context, const Scan& fixed, const Scan& moving, const PipelineOptions& options,
                      const Clock& clock) {
  const Extent part = part_of(fixed.extent);
  const std::size_t count = std::size_t(voxels(part));
  const double start = clock.seconds();
  const Buffer<float> u = constant(context, part, 0, 3), warped(context, part);
  const Buffer<std::uint8_t> valid(context, part);
  context.warp(moving, u, Interpolation::linear, Border::zero, warped.data(), valid.data());
  std::vector<float> first(1), copy;
  context.download(first.data(), warped.data(), sizeof first[0]);  // waits
  const double sampled = clock.seconds();
  copy.resize(count);
  context.download(copy.data(), warped.data(), sizeof copy[0] * count);
  const double pass = (sampled - start) / double(count), per_value = (clock.seconds() - sampled) / double(count);
  const double n = double(voxels(fixed.extent)), m = double(voxels(moving.extent));
  return {kRender * pass * n, kHandingOut * per_value * (7 * n + 3 * m),
          options.inverse ? kInverse * pass * 0.5 * (n + m) : 0,
          options.figures == Figures::none ? 0 : kFigures * pass * n};
}

}  // namespace mmreg
