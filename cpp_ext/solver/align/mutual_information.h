// Mutual information of fixed samples and a moving level as a function of the map between them.
#pragma once
#include "solver/align/fixed_samples.h"

namespace mmreg {

// Mutual information of the overlap (Wells et al. 1996, Maes et al. 1997), in nats, times a power of the share of the
// fixed samples that is covered. With power 1 this is, per fixed sample, the log likelihood ratio of "the overlap is
// dependent" to "it is not": images that slide apart lose, but a stretched map gains by covering more. With power 0 it
// is the other way round.
struct MapScore {
  double climbed;     // the maximised value
  double normalised;  // (H(f) + H(m)) / H(f, m) of the overlap (Studholme, Hill and Hawkes, 1999): 1 to 2
  double covered;     // share of the fixed samples that the moving image covers
};

MapScore map_score(const float* histogram, int bins, double samples, double power);

class AlignmentMetric {
 public:
  AlignmentMetric(const Context&, const FixedSamples&, const PyramidLevel& moving, int bins, double power);

  // The maps take points of the samples to mm of the moving scan.
  std::vector<MapScore> at(const std::vector<AffineMap>&) const;
  MapScore at(const AffineMap& map) const { return at(std::vector<AffineMap>{map})[0]; }
  // Also sets the derivative of `climbed` with respect to the twelve numbers of the map.
  MapScore at(const AffineMap&, double gradient[12]) const;

  std::int64_t evaluations() const { return evaluations_; }

 private:
  void histograms(const std::vector<AffineMap>&) const;
  SampleList list() const { return {fixed_.points.data(), fixed_.values.data(), fixed_.count}; }

  Context context_;
  const FixedSamples& fixed_;
  const PyramidLevel& moving_;
  AffineMap to_index_;
  int bins_;
  double power_;  // of the covered share
  mutable Buffer<float> device_histograms_, device_gain_;
  Buffer<double> device_gradient_;
  mutable std::vector<float> histograms_;
  mutable std::int64_t evaluations_ = 0;
};

}  // namespace mmreg
