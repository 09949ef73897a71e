// The network path from two scans to the displacement and the warped scan, for grids that are known beforehand. All
// memory is allocated once and no step waits for another, so that a device can record the steps as a graph.
//
// preprocess() resamples the scans to the network's grid; the caller runs the network, from `seen_fixed` and
// `seen_moving` to `field`; finish() computes the displacement and the warped scan. It counts folds, and remove_folds()
// removes them, which is rarely necessary.
#pragma once
#include <optional>

#include "pipeline/engine.h"
#include "pipeline/frames.h"

namespace mmreg {

struct PlanFacts {
  Extremes fixed, moving;  // of the scans
  std::int64_t folds;      // voxels whose least determinant is too small
};

class Plan {
 public:
  // `alignment`: fixed mm to moving mm. The scans are grids without data. `outside`: of the warped scan; none: the
  // lowest value of each moving scan.
  Plan(const Context&, const Engine&, const Scan& fixed, const Scan& moving, const AffineMap& alignment,
       std::optional<float> outside = {});

  void preprocess();
  void finish();
  PlanFacts facts();            // of the last preprocess() and finish(); waits
  std::int64_t remove_folds();  // returns how many are left, usually none; waits

  Extent fixed_extent() const { return fixed_scan_.extent; }
  Extent moving_extent() const { return moving_scan_.extent; }
  Extent seen_extent() const { return engine_.extent; }
  Extent field_extent() const { return extent_of(engine_.extent, engine_.field_factor()); }
  int field_channels() const { return engine_.dims; }

  const Buffer<float> fixed, moving;            // the scans: written by the caller
  const Buffer<float> seen_fixed, seen_moving;  // on the network's grid
  const Buffer<float> displacement_mm;          // (3, fixed), RAS+
  const Buffer<float> warped;                   // the moving scan on the fixed grid
  const Buffer<std::uint8_t> valid;             // 1 where the moving scan was sampled
  float* field() const { return field_.data() + (3 - engine_.dims) * voxels(field_extent()); }

 private:
  void resample_outputs();

  Context context_;
  const Engine engine_;
  Scan fixed_scan_, moving_scan_;
  const Frames frames_;
  const Buffer<float> field_, used_field_, sample_, u_;  // u_: input of remove_folds(), written by either graph
  const Buffer<PlanFacts> facts_;
  const Outside outside_;
};

}  // namespace mmreg
