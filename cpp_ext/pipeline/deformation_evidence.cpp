#include <algorithm>
#include <cmath>

#include "pipeline/evidence.h"
#include "solver/deform/warp_moving.h"

namespace mmreg {
namespace {

constexpr double kNear_vox = 3, kWide_vox = 9;  // radii: excluded, and included
constexpr double kFewest = 0.05;                // share of the included voxels that must lie in the region
// Least gain, of patterns and information together. Scans of different contrasts show one edge in places up to about
// two voxels apart: shorter displacements match the edges where nothing moved. Then patterns gain, but information
// hardly does, and the least gain is larger unless it does.
constexpr double kLeastGain = 0.15;
constexpr double kShort_vox = 2;  // root mean square
constexpr double kSureInformation = 0.12;

// Returns the mean of u around each point, without the points close by, weighted by the region; it fades to 0 outside.
Buffer<float> of_surroundings(const Context& context, const float* u, const Region& region, const DeformInput& grid) {
  const Extent n = grid.n;
  const std::int64_t count = voxels(n);
  const int length[3] = {n.d, n.h, n.w};
  int near[3], wide[3];
  double near_count = 1, wide_count = 1;
  for (int a = 0; a < 3; ++a) {
    const double share = length[a] > 1 ? finest(grid.spacing_mm) / grid.spacing_mm[a] : 0;
    near[a] = int(std::lround(kNear_vox * share));
    wide[a] = int(std::lround(kWide_vox * share));
    near_count *= 2 * near[a] + 1;
    wide_count *= 2 * wide[a] + 1;
  }
  const Buffer<float> weight = mask_to_float(context, region.inside);
  Buffer<float> mean(context, n, 3), inner(context, n, 3), all(context, n), close(context, n);
  context.axpby(3 * count, 1, u, 0, u, mean.data());
  context.multiply(mean, weight.data(), mean.data());
  context.box(mean, near, inner.data());
  context.box(mean, wide, mean.data());
  context.axpby(3 * count, float(wide_count), mean.data(), float(-near_count), inner.data(), mean.data());
  context.box(weight, near, close.data());
  context.box(weight, wide, all.data());
  context.axpby(count, float(wide_count), all.data(), float(-near_count), close.data(), all.data());
  const Buffer<float> few = constant(context, n, float(kFewest * (wide_count - near_count)));
  context.axpby(count, 1, all.data(), 1, few.data(), all.data());
  context.divide(mean, all.data(), mean.data());
  return mean;
}

// Returns the root mean square length of u in a region, in voxels of the finest spacing.
double typical_length_vox(const Context& context, const float* u, const Buffer<std::uint8_t>& region,
                          MeasuredScan& fixed) {
  const Extent n = fixed.scan().extent;
  const ScanStatistics& s = fixed.statistics();
  Change scale{};
  for (int a = 0; a < 3; ++a) scale.linear[4 * a] = s.spacing_mm[a] / finest_spacing_mm(fixed, s);
  Buffer<float> scaled(context, n, 3), length(context, n);
  context.add_affine(u, n, scale.linear, scale.map, scaled.data());
  context.lengths(scaled.data(), n, length.data());
  context.multiply(length, length.data(), length.data());
  const Buffer<float> weight = mask_to_float(context, region);
  context.multiply(length, weight.data(), length.data());
  const double count = context.summary(weight.data(), voxels(n)).sum;
  return count > 0 ? std::sqrt(context.summary(length.data(), voxels(n)).sum / count) : 0;
}

}  // namespace

DeformationEvidence deformation_evidence(const Context& context, MeasuredScan& fixed, MeasuredScan& moving,
                                         const AffineMap& affine, const float* u) {
  const Extent n = fixed.scan().extent;
  const AffineMap to_moving = Frames(fixed, moving, affine).to_moving();
  const Comparison comparison(context, fixed, moving, to_moving);
  const Seen without = comparison.through(to_moving);
  const Change c = change(to_moving, to_moving, AffineMap());
  const auto through = [&](const float* displacement) {
    Buffer<float> sample(context, n, 3);
    context.add_affine(displacement, n, c.linear, c.map, sample.data());
    return comparison.through(sample);
  };
  const Seen own = through(u);
  const Region region = comparison.region({&without, &own});
  DeformationEvidence out;
  out.typical_vox = typical_length_vox(context, u, region.inside, fixed);
  const Buffer<float> surroundings = of_surroundings(context, u, region, input_of(fixed, nullptr, nullptr));
  const Seen around = through(surroundings.data());
  const Region both = comparison.region({&without, &own, &around});
  const double mind = comparison.difference(without, both), information = comparison.information(without, both);
  out.kept = false;
  if (!comparison.informative() || !(mind > 0) || !(information > 0)) return out;
  out.patterns = 1 - comparison.difference(around, both) / mind;
  out.information = comparison.information(around, both) / information - 1;
  out.own_patterns = 1 - comparison.difference(own, both) / mind;
  out.own_information = comparison.information(own, both) / information - 1;
  const bool finer = comparison.similarity(own, both) > comparison.similarity(without, both);  // on the whole grid
  const bool informative = out.information > kSureInformation;
  out.least_gain = kLeastGain * (informative ? 1 : std::max(1.0, kShort_vox / out.typical_vox));
  out.kept =
      finer && out.own_patterns > 0 && out.own_information > 0 && out.patterns + out.information > out.least_gain;
  return out;
}

}  // namespace mmreg
