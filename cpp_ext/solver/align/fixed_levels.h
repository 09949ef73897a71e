// The fixed scan of an alignment at several resolutions, the samples drawn on them and their edges. None of it depends
// on the moving scan, so a stream of moving scans shares it.
#pragma once
#include <memory>
#include <vector>

#include "solver/align/edges.h"

namespace mmreg {

// Level 0 is the coarsest. Samples and edges are made when they are first used. The scan and its statistics must
// outlive it.
class FixedLevels {
 public:
  // `spacings_mm`: ascending. `axes`: unit vectors that span the plane of the scan, or space.
  FixedLevels(const Context&, const Scan&, const ScanStatistics&, const std::vector<double>& spacings_mm,
              const std::vector<Point>& axes);

  std::size_t count() const { return spacings_mm_.size(); }
  const std::vector<double>& spacings_mm() const { return spacings_mm_; }  // ascending
  double spacing_mm(std::size_t level) const { return spacings_mm_[count() - 1 - level]; }
  const std::vector<PyramidLevel>& pyramid() const { return pyramid_; }  // finest first
  const PyramidLevel& at(std::size_t level) const { return pyramid_[count() - 1 - level]; }
  const FixedSamples& samples(std::size_t level);
  std::shared_ptr<const FixedEdges> edges(std::size_t level);

 private:
  Context context_;
  const ScanStatistics& statistics_;
  const std::vector<double> spacings_mm_;
  const std::vector<Point> axes_;
  const std::vector<PyramidLevel> pyramid_;
  std::vector<std::unique_ptr<FixedSamples>> samples_;
  std::vector<std::shared_ptr<const FixedEdges>> edges_;
};

}  // namespace mmreg
