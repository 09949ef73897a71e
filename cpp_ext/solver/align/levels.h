// Both scans at several resolutions, and what the alignment measures on each.
#pragma once
#include <memory>
#include <vector>

#include "solver/align/contest.h"

namespace mmreg {

struct Resolution {
  const PyramidLevel& fixed;
  const PyramidLevel& moving;
  FixedSamples samples;
  AlignmentMetric metric;

  Resolution(const Context&, const PyramidLevel& fixed, const PyramidLevel& moving, const ScanStatistics& of_fixed,
             double spacing_mm, std::int64_t most_samples, double overlap_power);
};

// The exponent of the overlap in the metric. The coarse levels must not let the scans slide apart; the fine ones must
// not stretch one to cover more of the other.
inline double overlap_power(std::size_t level) { return level < 2 ? 0.5 : 0.2; }

// Level 0 is the coarsest. Pyramids are built by the constructor, samples and metrics when they are first used. The
// scans, their statistics and `start` must outlive it.
class Levels {
 public:
  // `start` and `normal` (of the plane of the fixed scan; null in 3-D) are where contests look for chance agreement.
  Levels(const Context&, const Scan& fixed, const Scan& moving, const ScanStatistics& of_fixed,
         const ScanStatistics& of_moving, const AffineMap& start, const Point* normal);

  std::size_t count() const { return spacings_mm_.size(); }
  double spacing_mm(std::size_t level) const { return spacings_mm_[count() - 1 - level]; }
  Resolution& at(std::size_t level);
  const Contest& contest(std::size_t level);
  EdgeMetric edges(std::size_t level);
  const std::vector<PyramidLevel>& fixed() const { return fixed_; }                      // finest first
  const std::vector<PyramidLevel>& moving() const { return moving_; }                    // finest first
  const std::vector<std::unique_ptr<Resolution>>& used() const { return resolutions_; }  // null where not used

 private:
  Context context_;
  const ScanStatistics& of_fixed_;
  const AffineMap& start_;
  const Point* normal_;
  std::vector<double> spacings_mm_;  // ascending
  std::vector<PyramidLevel> fixed_, moving_;
  std::vector<std::unique_ptr<Resolution>> resolutions_;
  std::vector<std::unique_ptr<Contest>> contests_;
};

}  // namespace mmreg
