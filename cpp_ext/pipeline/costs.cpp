#include "pipeline/costs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "ops/buffer.h"

namespace mmreg {
namespace {

constexpr std::int64_t kLeastPlanes = 2, kPartOfScan = 16;

// Costs relative to sampling the moving scan at as many voxels, and to copying as many numbers: ratios of arithmetic
// that are similar on any machine. benchmarks/registration/finish_costs.py measures them.
constexpr double kRender = 3.5, kHandingOut = 1.5, kInverse = 14, kFigures = 26, kFastFigures = 5;

constexpr double kMargin = 1.5;  // of costs that were measured in an earlier call
constexpr double kDecay = 0.9;   // of a cost that was higher before

// Adapts a cost to what a call took. An estimate, which the first call replaces, may be far off.
void follow(double& cost, double taken, bool first) {
  if (taken > 0) cost = std::max(kMargin * taken, first ? 0 : kDecay * cost);
}

double figures_cost(Figures figures) {
  return figures == Figures::full ? kFigures : figures == Figures::fast ? kFastFigures : 0;
}

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
          options.inverse ? kInverse * pass * 0.5 * (n + m) : 0, figures_cost(options.figures) * pass * n};
}

void CostsOfSession::learn(const PipelineOptions& options, Extent moving, const Costs& expected,
                           const PipelineResult& result) {
  const bool first = !knows(options, moving);  // then the expected costs are estimates
  if (first) *this = {options.figures, options.inverse, moving, expected};
  follow(costs->render, result.taken.render, first);
  if (result.deformation_mm.data()) follow(costs->inverse, result.taken.inverse, first);
  follow(costs->figures, result.taken.figures, first);
}

void CostsOfSession::learn_handing_out(double seconds) {
  if (costs) follow(costs->handing_out, seconds, !std::exchange(handed_out, true));
}

}  // namespace mmreg
