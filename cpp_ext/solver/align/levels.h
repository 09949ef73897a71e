// Both scans at several resolutions, and what the alignment measures on each.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "solver/align/contest.h"
#include "solver/align/fixed_levels.h"

namespace mmreg {

struct Resolution {
  const PyramidLevel& fixed;
  const PyramidLevel& moving;
  const FixedSamples& samples;
  AlignmentMetric metric;

  Resolution(const Context&, const PyramidLevel& fixed, const PyramidLevel& moving, const FixedSamples&,
             double overlap_power);
};

// The exponent of the overlap in the metric. The coarse levels must not let the scans slide apart; the fine ones must
// not stretch one to cover more of the other.
inline double overlap_power(std::size_t level) { return level < 2 ? 0.5 : 0.2; }

// Returns the fixed levels for a pair of scans. `normal`: of the plane of the fixed scan; null in 3-D.
std::shared_ptr<FixedLevels> fixed_levels(const Context&, const Scan& fixed, const ScanStatistics& of_fixed,
                                          const Scan& moving, const ScanStatistics& of_moving, const Point* normal);

// Level 0 is the coarsest. The moving pyramid is built by the constructor, metrics when they are first used. The moving
// scan and `start` must outlive it.
class Levels {
 public:
  // `start` and `normal` are where contests look for chance agreement; `chance`: that on the finest level, if it is
  // known.
  Levels(const Context&, std::shared_ptr<FixedLevels>, const Scan& moving, const ScanStatistics& of_moving,
         const AffineMap& start, const Point* normal, std::optional<double> chance);

  std::size_t count() const { return fixed_->count(); }
  double spacing_mm(std::size_t level) const { return fixed_->spacing_mm(level); }
  Resolution& at(std::size_t level);
  const Contest& contest(std::size_t level);
  EdgeMetric edges(std::size_t level);
  const std::vector<PyramidLevel>& fixed() const { return fixed_->pyramid(); }           // finest first
  const std::vector<PyramidLevel>& moving() const { return moving_; }                    // finest first
  const std::vector<std::unique_ptr<Resolution>>& used() const { return resolutions_; }  // null where not used

 private:
  Context context_;
  const std::shared_ptr<FixedLevels> fixed_;
  const AffineMap& start_;
  const Point* normal_;
  const std::optional<double> chance_;
  const std::vector<PyramidLevel> moving_;
  std::vector<std::unique_ptr<Resolution>> resolutions_;
  std::vector<std::unique_ptr<Contest>> contests_;
};

}  // namespace mmreg
