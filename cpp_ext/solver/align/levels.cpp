#include "solver/align/levels.h"

#include <algorithm>

#include "solver/align/plane.h"

namespace mmreg {
namespace {

constexpr std::int64_t kEdgeSamples = 4000;                                // for the agreement of edges
constexpr std::int64_t kSamples[] = {4000, 16000, 50000, 100000, 150000};  // at most, coarsest level first

// Bins of each image. On the coarsest level, with at most 4000 samples, 16 bins leave up to 16 samples for each cell of
// the joint histogram; 32 bins do so from the next level on, which has up to 16000.
int bins_for(std::int64_t samples) { return samples < 4000 ? 16 : 32; }

// Spacings from 1/20 of the body (1/40 in a plane), halved down to 1/160 or to the voxels of the finer scan; ascending.
std::vector<double> level_spacings(double voxel_mm, double body_mm, bool in_plane) {
  const double finest_mm = std::max(voxel_mm, body_mm / 160);
  std::vector<double> out = {std::max(finest_mm, body_mm / (in_plane ? 40 : 20))};
  while (out.front() > 1.5 * finest_mm) out.insert(out.begin(), std::max(finest_mm, 0.5 * out.front()));
  return out;
}

}  // namespace

Resolution::Resolution(const Context& context, const PyramidLevel& fixed_level, const PyramidLevel& moving_level,
                       const ScanStatistics& of_fixed, double spacing_mm, std::int64_t most_samples,
                       double overlap_power)
    : fixed(fixed_level),
      moving(moving_level),
      samples(draw_samples(context, fixed_level, of_fixed, spacing_mm, most_samples)),
      metric(context, samples, moving_level, bins_for(samples.count), overlap_power) {}

Levels::Levels(const Context& context, const Scan& fixed, const Scan& moving, const ScanStatistics& of_fixed,
               const ScanStatistics& of_moving, const AffineMap& start, const Point* normal)
    : context_(context),
      of_fixed_(of_fixed),
      start_(start),
      normal_(normal),
      spacings_mm_(level_spacings(std::min(finest_spacing_mm(fixed, of_fixed), finest_spacing_mm(moving, of_moving)),
                                  std::min(of_fixed.diameter_mm, of_moving.diameter_mm), normal)),
      fixed_(build_pyramid(context, fixed, of_fixed, spacings_mm_)),
      moving_(build_pyramid(context, moving, of_moving, spacings_mm_)) {}

Resolution& Levels::at(std::size_t level) {
  resolutions_.resize(std::max(resolutions_.size(), level + 1));
  if (!resolutions_[level]) {
    const std::size_t k = count() - 1 - level;
    resolutions_[level] = std::make_unique<Resolution>(context_, fixed_[k], moving_[k], of_fixed_, spacings_mm_[k],
                                                       kSamples[std::min<std::size_t>(level, 4)], overlap_power(level));
  }
  return *resolutions_[level];
}

const Contest& Levels::contest(std::size_t level) {
  contests_.resize(std::max(contests_.size(), level + 1));
  if (contests_[level]) return *contests_[level];
  contests_[level] = std::make_unique<Contest>(edges(level), start_, normal_);
  return *contests_[level];
}

EdgeMetric Levels::edges(std::size_t level) {
  const Resolution& r = at(level);
  const FixedSamples few = draw_samples(context_, r.fixed, of_fixed_, spacing_mm(level), kEdgeSamples);
  return EdgeMetric(context_, few, r.fixed, of_fixed_.centre_mm, r.moving, spacing_mm(level), spanning(normal_));
}

}  // namespace mmreg
