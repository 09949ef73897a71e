// Compares a pair of scans under candidate transforms, over the same voxels for all candidates: those that both scans
// cover, near the body of the fixed one. The measures do not depend on an offset or gain of the intensities, nor on a
// border of background around either scan.
#pragma once
#include <vector>

#include "pipeline/measured_scan.h"
#include "pipeline/resampling.h"
#include "solver/deform/extrapolate.h"

namespace mmreg {

struct Seen {  // the moving scan on the fixed grid
  Buffer<float> moving;
  Buffer<std::uint8_t> valid;
};

struct Region {
  Buffer<std::uint8_t> inside;  // on the fixed grid
  double share;                 // of the neighbourhood of the body
};

class Comparison {
 public:
  // `to_moving`: fixed to moving indices, a transform near the candidates. It sets the smoothing of a moving scan that
  // is finer than the fixed grid.
  Comparison(const Context&, MeasuredScan& fixed, MeasuredScan& moving, const AffineMap& to_moving);

  Seen through(const AffineMap& to_moving) const;
  Seen through(Displacement sample) const;  // on the fixed grid: index of the moving point minus the fixed index

  Region region(const std::vector<const Seen*>&) const;
  double similarity(const Seen&, const Region&) const;   // normalised mutual information
  double information(const Seen&, const Region&) const;  // mutual information in nats, at half resolution
  double difference(const Seen&, const Region&) const;   // mean squared, of MIND-SSC at half resolution
  ExtrapolatedPair filled(const Seen&) const;            // both scans, extrapolated; refers to them
  const ScanStatistics& fixed_statistics() const { return fixed_statistics_; }
  const ScanStatistics& moving_statistics() const { return moving_statistics_; }
  bool informative() const { return !fixed_statistics_.flat && !moving_statistics_.flat; }

 private:
  Seen empty() const;
  Binning bins(const IntensityMap&, double lowest, int count) const;

  Context context_;
  const Scan &fixed_, &moving_;
  const ScanStatistics &fixed_statistics_, &moving_statistics_;
  const Buffer<float>& fixed_image_;  // above its lowest value
  const Buffer<std::uint8_t>& body_;  // and a margin around it, inside the fixed mask
  const Buffer<float> moving_image_;  // above its lowest value, smoothed
  const double fixed_lowest_, moving_lowest_;
};

}  // namespace mmreg
