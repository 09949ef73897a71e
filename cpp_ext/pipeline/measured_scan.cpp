#include "pipeline/measured_scan.h"

#include "pipeline/resampling.h"
#include "solver/align/fixed_samples.h"

namespace mmreg {
namespace {

constexpr double kMargin = 0.05;  // diameters of the body around it: its outline counts, the air beyond does not

Buffer<std::uint8_t> widened_body(const Context& context, const Scan& scan, const ScanStatistics& s) {
  const std::vector<std::uint8_t> flags = widened(s, kMargin * s.diameter_mm);
  Buffer<float> lattice(context, s.lattice), near(context, scan.extent);
  lattice.upload(std::vector<float>(flags.begin(), flags.end()).data());
  AffineMap to_lattice;
  for (int a = 0; a < 3; ++a) {
    to_lattice(a, a) = 1.0 / s.stride[a];
    to_lattice(a, 3) = 0.5 / s.stride[a] - 0.5;
  }
  context.resample_affine(lattice, to_lattice.m, scan.extent, Interpolation::nearest, Border::extend, near.data(),
                          nullptr);
  Buffer<std::uint8_t> inside(context, scan.extent);
  context.threshold(near.data(), scan.mask, voxels(scan.extent), 0.5f, inside.data());
  return inside;
}

}  // namespace

const ScanStatistics& MeasuredScan::statistics() {
  if (!statistics_) statistics_ = measure_scan_statistics(context_, scan_);
  return *statistics_;
}

double MeasuredScan::lowest() {
  if (!lowest_) lowest_ = context_.summary(scan_.data, voxels(scan_.extent)).smallest;
  return *lowest_;
}

const Buffer<float>& MeasuredScan::above_lowest() {
  if (!above_lowest_.data()) above_lowest_ = mmreg::above_lowest(context_, scan_, AffineMap());
  return above_lowest_;
}

const Buffer<std::uint8_t>& MeasuredScan::near_body() {
  if (!near_body_.data()) near_body_ = widened_body(context_, scan_, statistics());
  return near_body_;
}

}  // namespace mmreg
