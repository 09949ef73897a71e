// A scan and what is measured of it: each figure once, when it is first needed. The fixed scan of a session keeps them
// for all moving scans.
#pragma once
#include <optional>

#include "core/normalisation_data.h"
#include "ops/buffer.h"
#include "solver/align/scan_statistics.h"
#include "solver/deform/image_statistics.h"

namespace mmreg {

// A scan as a network sees it, and what it depends on.
struct NetworkInput {
  Extent extent{};
  AffineMap affine;
  Normalisation intensities{};
  Buffer<float> image;  // empty: not computed
};

class MeasuredScan {
 public:
  // The memory of the scan must outlive this object.
  MeasuredScan(const Context& context, const Scan& scan) : context_(context), scan_(scan) {}

  operator const Scan&() const { return scan_; }
  const Scan& scan() const { return scan_; }

  const ScanStatistics& statistics();
  double lowest();                          // intensity
  const Buffer<float>& above_lowest();      // the intensities minus the lowest
  const Buffer<std::uint8_t>& near_body();  // the body and a margin around it, inside the mask
  // Of the image that the deformation matches, extrapolated where it is masked; empty: not measured.
  std::optional<ImageStatistics> image_statistics;
  Buffer<Half> described;  // the features of that image by the network of the session; empty: not computed
  NetworkInput network_input;

 private:
  Context context_;
  Scan scan_;
  std::optional<ScanStatistics> statistics_;
  std::optional<double> lowest_;
  Buffer<float> above_lowest_;
  Buffer<std::uint8_t> near_body_;
};

}  // namespace mmreg
