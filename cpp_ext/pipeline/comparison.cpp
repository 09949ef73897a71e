#include "pipeline/comparison.h"

#include "solver/deform/feature_distance.h"
#include "solver/deform/warp_moving.h"
#include "solver/math/information.h"

namespace mmreg {
namespace {

// Half as many bins at half the resolution, which has a quarter (in a plane) or an eighth of the voxels. The count
// itself matters little: tests/solver/test_evidence.py.
constexpr int kBins = 48, kFewBins = 24;

}  // namespace

Comparison::Comparison(const Context& context, MeasuredScan& fixed, MeasuredScan& moving, const AffineMap& to_moving)
    : context_(context),
      fixed_(fixed),
      moving_(moving),
      fixed_statistics_(fixed.statistics()),
      moving_statistics_(moving.statistics()),
      fixed_image_(fixed.above_lowest()),
      body_(fixed.near_body()),
      moving_image_(above_lowest(context, moving, to_moving)),
      fixed_lowest_(fixed.lowest()),
      moving_lowest_(moving.lowest()) {}

Seen Comparison::empty() const { return {{context_, fixed_.extent}, {context_, fixed_.extent}}; }

Seen Comparison::through(const AffineMap& to_moving) const {
  Seen seen = empty();
  context_.resample_affine(moving_image_, to_moving.m, fixed_.extent, Interpolation::linear, Border::extend,
                           seen.moving.data(), seen.valid.data());
  if (moving_.mask)
    restrict_to_mask(context_, {moving_.mask, moving_.extent}, to_moving, fixed_.extent, seen.valid.data());
  return seen;
}

Seen Comparison::through(Displacement sample) const {
  Seen seen = empty();
  context_.warp(moving_image_, sample, Interpolation::linear, Border::extend, seen.moving.data(), seen.valid.data());
  if (!moving_.mask) return seen;
  const Buffer<float> mask = mask_to_float(context_, {moving_.mask, moving_.extent}), there(context_, fixed_.extent);
  context_.warp(mask, sample, Interpolation::nearest, Border::zero, there.data(), nullptr);
  context_.threshold(there.data(), seen.valid.data(), voxels(fixed_.extent), 0.0f, seen.valid.data());
  return seen;
}

Region Comparison::region(const std::vector<const Seen*>& candidates) const {
  const std::int64_t count = voxels(fixed_.extent);
  Buffer<float> flags = mask_to_float(context_, body_);
  const double all = context_.summary(flags.data(), count).sum;
  Buffer<std::uint8_t> inside(context_, fixed_.extent);
  context_.threshold(flags.data(), nullptr, count, 0.0f, inside.data());
  for (const Seen* seen : candidates)
    context_.threshold(flags.data(), seen->valid.data(), count, 0.0f, inside.data()),
        flags = mask_to_float(context_, inside);
  const double left = context_.summary(flags.data(), count).sum;
  return {std::move(inside), all > 0 ? left / all : 0};
}

Binning Comparison::bins(const IntensityMap& tone, double lowest, int count) const {
  return {float(tone.low - lowest), float(tone.high - lowest), count};
}

double Comparison::similarity(const Seen& seen, const Region& region) const {
  std::vector<double> histogram(kBins * kBins);
  context_.joint_histogram(fixed_image_.data(), seen.moving.data(), region.inside.data(), voxels(fixed_.extent),
                           bins(fixed_statistics_.intensity_map, fixed_lowest_, kBins),
                           bins(moving_statistics_.intensity_map, moving_lowest_, kBins), Parzen::none,
                           histogram.data());
  return mmreg::information(histogram.data(), kBins, kBins).normalised();
}

double Comparison::information(const Seen& seen, const Region& region) const {
  const Factor half = factor_of(2, input_of(fixed_, nullptr, nullptr));
  const Buffer<float> f = pooled(context_, fixed_image_, half), m = pooled(context_, seen.moving, half);
  const Buffer<std::uint8_t> inside = pooled_validity(context_, region.inside, half);
  std::vector<double> histogram(kFewBins * kFewBins);
  context_.joint_histogram(f.data(), m.data(), inside.data(), std::int64_t(f.size()),
                           bins(fixed_statistics_.intensity_map, fixed_lowest_, kFewBins),
                           bins(moving_statistics_.intensity_map, moving_lowest_, kFewBins), Parzen::cubic,
                           histogram.data());
  return mmreg::information(histogram.data(), kFewBins, kFewBins).mutual();
}

ExtrapolatedPair Comparison::filled(const Seen& seen) const {
  DeformInput input = input_of(fixed_, seen.moving.data(), seen.valid.data());
  input.fixed = fixed_image_.data();
  return extrapolate(context_, input);
}

double Comparison::difference(const Seen& seen, const Region& region) const {
  ExtrapolatedPair filled = this->filled(seen);
  filled.input.fixed_valid = filled.input.moving_valid = region.inside.data();
  const PairStatistics facts{};  // the background is 0
  return feature_distance(context_, filled.input, facts, factor_of(2, filled.input));
}

}  // namespace mmreg
