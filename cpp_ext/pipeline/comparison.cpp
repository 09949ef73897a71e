#include "pipeline/comparison.h"

#include "solver/align/fixed_samples.h"
#include "solver/deform/feature_distance.h"
#include "solver/deform/warp_moving.h"
#include "solver/math/information.h"

namespace mmreg {
namespace {

constexpr int kBins = 48, kFewBins = 24;  // few: of half the resolution
constexpr double kMargin = 0.05;  // diameters of the body around it: its outline counts, the air beyond does not

// Voxels of the scan within the margin of its body and inside of its mask.
TableMemory<std::uint8_t> near_body(const Operations& operations, Queue& queue, const Scan& scan, const Survey& s) {
  const std::vector<std::uint8_t> flags = widened(s, kMargin * s.diameter_mm);
  const TableMemory<float> lattice = uploaded(operations, queue, std::vector<float>(flags.begin(), flags.end()));
  AffineMap to_lattice;
  for (int a = 0; a < 3; ++a) to_lattice(a, a) = 1.0 / s.stride[a], to_lattice(a, 3) = 0.5 / s.stride[a] - 0.5;
  const std::int64_t count = voxels(scan.extent);
  TableMemory<float> near(operations, queue, std::size_t(count));
  operations.resample_affine(queue, lattice.data(), 1, s.lattice, to_lattice.m, scan.extent, Interpolation::nearest,
                             Border::extend, near.data(), nullptr);
  TableMemory<std::uint8_t> inside(operations, queue, std::size_t(count));
  operations.above(queue, near.data(), scan.mask, count, 0.5f, inside.data());
  return inside;
}

}  // namespace

Comparison::Comparison(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving,
                       const AffineMap& to_moving)
    : operations_(operations),
      queue_(queue),
      fixed_(fixed),
      moving_(moving),
      fixed_survey_(survey(operations, queue, fixed)),
      moving_survey_(survey(operations, queue, moving)),
      fixed_image_(above_lowest(operations, queue, fixed, AffineMap())),
      moving_image_(above_lowest(operations, queue, moving, to_moving)),
      fixed_lowest_(operations.summary(queue, fixed.data, voxels(fixed.extent)).smallest),
      moving_lowest_(operations.summary(queue, moving.data, voxels(moving.extent)).smallest),
      body_(near_body(operations, queue, fixed, fixed_survey_)) {}

Seen Comparison::empty() const {
  const std::size_t count = std::size_t(voxels(fixed_.extent));
  return {{operations_, queue_, count}, {operations_, queue_, count}};
}

Seen Comparison::through(const AffineMap& to_moving) const {
  Seen seen = empty();
  operations_.resample_affine(queue_, moving_image_.data(), 1, moving_.extent, to_moving.m, fixed_.extent,
                              Interpolation::linear, Border::extend, seen.moving.data(), seen.valid.data());
  if (moving_.mask)
    restrict_to_mask(operations_, queue_, moving_.mask, moving_.extent, to_moving, fixed_.extent, seen.valid.data());
  return seen;
}

Seen Comparison::through(const float* sample) const {
  Seen seen = empty();
  operations_.warp(queue_, moving_image_.data(), 1, moving_.extent, sample, fixed_.extent, Interpolation::linear,
                   Border::extend, seen.moving.data(), seen.valid.data());
  if (!moving_.mask) return seen;
  const TableMemory<float> mask = numbers(operations_, queue_, moving_.mask, voxels(moving_.extent));
  TableMemory<float> there(operations_, queue_, seen.moving.size());
  operations_.warp(queue_, mask.data(), 1, moving_.extent, sample, fixed_.extent, Interpolation::nearest, Border::zero,
                   there.data(), nullptr);
  operations_.above(queue_, there.data(), seen.valid.data(), voxels(fixed_.extent), 0.0f, seen.valid.data());
  return seen;
}

Region Comparison::region(const std::vector<const Seen*>& candidates) const {
  const std::int64_t count = voxels(fixed_.extent);
  TableMemory<float> flags = numbers(operations_, queue_, body_.data(), count);
  const double all = operations_.summary(queue_, flags.data(), count).sum;
  TableMemory<std::uint8_t> inside(operations_, queue_, flags.size());
  operations_.above(queue_, flags.data(), nullptr, count, 0.0f, inside.data());
  for (const Seen* seen : candidates)
    operations_.above(queue_, flags.data(), seen->valid.data(), count, 0.0f, inside.data()),
        flags = numbers(operations_, queue_, inside.data(), count);
  const double left = operations_.summary(queue_, flags.data(), count).sum;
  return {std::move(inside), all > 0 ? left / all : 0};
}

Binning Comparison::bins(const Tone& tone, double lowest, int count) const {
  return {float(tone.low - lowest), float(tone.high - lowest), count};
}

double Comparison::similarity(const Seen& seen, const Region& region) const {
  std::vector<double> histogram(kBins * kBins);
  operations_.joint_histogram(queue_, fixed_image_.data(), seen.moving.data(), region.inside.data(),
                              voxels(fixed_.extent), bins(fixed_survey_.tone, fixed_lowest_, kBins),
                              bins(moving_survey_.tone, moving_lowest_, kBins), Parzen::none, histogram.data());
  return mmreg::information(histogram.data(), kBins, kBins).normalised();
}

double Comparison::information(const Seen& seen, const Region& region) const {
  const Factor half = factor_of(2, input_of(fixed_, nullptr, nullptr));
  const Extent n = extent_of(fixed_.extent, half);
  const TableMemory<float> f = pooled(operations_, queue_, fixed_image_.data(), fixed_.extent, half),
                           m = pooled(operations_, queue_, seen.moving.data(), fixed_.extent, half);
  const TableMemory<std::uint8_t> inside =
      pooled_validity(operations_, queue_, region.inside.data(), fixed_.extent, half);
  std::vector<double> histogram(kFewBins * kFewBins);
  operations_.joint_histogram(queue_, f.data(), m.data(), inside.data(), voxels(n),
                              bins(fixed_survey_.tone, fixed_lowest_, kFewBins),
                              bins(moving_survey_.tone, moving_lowest_, kFewBins), Parzen::cubic, histogram.data());
  return mmreg::information(histogram.data(), kFewBins, kFewBins).mutual();
}

Filled Comparison::filled(const Seen& seen) const {
  DeformInput input = input_of(fixed_, seen.moving.data(), seen.valid.data());
  input.fixed = fixed_image_.data();
  return fill(operations_, queue_, input);
}

double Comparison::difference(const Seen& seen, const Region& region) const {
  Filled filled = this->filled(seen);
  filled.input.fixed_valid = filled.input.moving_valid = region.inside.data();
  const DeformFacts facts{};  // the images are above 0: the background
  return feature_difference(operations_, queue_, filled.input, facts, factor_of(2, filled.input));
}

}  // namespace mmreg
