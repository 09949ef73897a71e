// Measures of rigid poses for the evidence: mutual information on a coarse level, which can be maximised, and the
// agreement of edges on a finer one, which is only measured.
#pragma once
#include <vector>

#include "solver/align/contest.h"
#include "solver/align/mutual_information.h"

namespace mmreg {

class Poses {  // maps go from the samples, mm from the centre of the fixed body, to mm of the moving scan
 public:
  Poses(const Context&, const Scan& fixed, const Scan& moving, const ScanStatistics& of_fixed,
        const ScanStatistics& of_moving);

  struct Reached {
    AffineMap map;
    double information;  // nats per sample, times the square root of the covered share
  };

  Reached climb(const AffineMap& from) const;
  std::vector<Reached> scored(const std::vector<AffineMap>&) const;
  // The reference for chance is the agreement of edges after rotations of `pose`.
  Contest edges(const AffineMap& pose) const;

  // Returns shifts and rotations of `pose` by the error that a result may have.
  std::vector<AffineMap> around(const AffineMap& pose) const;

  bool flat() const { return flat_; }
  bool empty() const { return samples_.count == 0; }
  double moved_mm(const AffineMap& a, const AffineMap& b) const { return distance(a, b, radius_mm_); }

 private:
  const Point* normal() const { return flat_ ? &normal_ : nullptr; }

  Context context_;
  const bool flat_;
  const double voxel_mm_, fine_mm_, coarse_mm_, radius_mm_;
  const Point centre_mm_, normal_;
  const std::vector<PyramidLevel> fixed_, moving_;  // the fine one first
  const FixedSamples samples_, few_;
  const AlignmentMetric metric_;
};

}  // namespace mmreg
