#include "solver/align/levels.h"

#include <algorithm>

#include "solver/align/plane.h"

namespace mmreg {
namespace {

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
                       const FixedSamples& drawn, double overlap_power)
    : fixed(fixed_level),
      moving(moving_level),
      samples(drawn),
      metric(context, samples, moving_level, bins_for(samples.count), overlap_power) {}

std::shared_ptr<FixedLevels> fixed_levels(const Context& context, const Scan& fixed, const ScanStatistics& of_fixed,
                                          const Scan& moving, const ScanStatistics& of_moving, const Point* normal) {
  const double voxel_mm = std::min(finest_spacing_mm(fixed, of_fixed), finest_spacing_mm(moving, of_moving));
  const double body_mm = std::min(of_fixed.diameter_mm, of_moving.diameter_mm);
  return std::make_shared<FixedLevels>(context, fixed, of_fixed, level_spacings(voxel_mm, body_mm, normal),
                                       spanning(normal));
}

Levels::Levels(const Context& context, std::shared_ptr<FixedLevels> fixed, const Scan& moving,
               const ScanStatistics& of_moving, const AffineMap& start, const Point* normal,
               std::optional<double> chance)
    : context_(context),
      fixed_(std::move(fixed)),
      start_(start),
      normal_(normal),
      chance_(chance),
      moving_(build_pyramid(context, moving, of_moving, fixed_->spacings_mm())) {}

Resolution& Levels::at(std::size_t level) {
  resolutions_.resize(std::max(resolutions_.size(), level + 1));
  if (!resolutions_[level])
    resolutions_[level] = std::make_unique<Resolution>(context_, fixed_->at(level), moving_[count() - 1 - level],
                                                       fixed_->samples(level), overlap_power(level));
  return *resolutions_[level];
}

const Contest& Levels::contest(std::size_t level) {
  contests_.resize(std::max(contests_.size(), level + 1));
  if (!contests_[level])
    contests_[level] = chance_ && level + 1 == count() ? std::make_unique<Contest>(edges(level), *chance_)
                                                       : std::make_unique<Contest>(edges(level), start_, normal_);
  return *contests_[level];
}

EdgeMetric Levels::edges(std::size_t level) {
  return EdgeMetric(context_, fixed_->edges(level), moving_[count() - 1 - level]);
}

}  // namespace mmreg
