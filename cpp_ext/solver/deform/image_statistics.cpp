#include "solver/deform/image_statistics.h"

#include <cmath>
#include <vector>

#include "solver/deform/affine_search.h"
#include "solver/math/information.h"

namespace mmreg {
namespace {

constexpr double kTail = 0.005;  // fraction of the foreground at each end that may saturate in the histogram
constexpr double kClip = 0.01;   // fraction at each end that is clipped to measure detail

constexpr float kTissue = 0.1f;    // threshold of the body, as a fraction of the range of the foreground
constexpr double kThick = 1.5;     // times the finest spacing; detail is not measured across thicker slices
constexpr int kCoarsestGrain = 3;  // largest grain of the noise, in voxels
constexpr double kQuiet = 1e6;     // contrast to noise of an image without noise
constexpr int kBins = 64;          // per image, for the correlation: their width adds only 1/12 bin^2 to a variance

// Returns the lower quartile, over the body, of the standard deviation in the neighbourhood of a voxel divided by that
// of the noise.
double contrast_to_noise(const Context& context, Image image, const std::uint8_t* valid, float tissue) {
  const std::int64_t count = voxels(image.n);
  const Buffer<std::uint8_t> inside = body_mask(context, image, valid, tissue);
  Buffer<float> noise(context, image.n), contrast(context, image.n);
  context.texture(image, noise.data(), contrast.data());
  const double half = 0.5, quarter = 0.25;
  float sigma = 0, least = 0;
  context.percentiles(noise.data(), inside.data(), count, &half, 1, &sigma);
  context.percentiles(contrast.data(), inside.data(), count, &quarter, 1, &least);
  constexpr double median = 0.6745;  // of |x| for a standard normal distribution
  return sigma * kQuiet > least ? least * median / sigma : kQuiet;
}

// Returns the least contrast to noise over several scales. The grain of noise is one voxel in MR, a few in CT and many
// in ultrasound speckle; coarse noise resembles contrast in the original image, but not in a pooled one.
double contrast_to_grain(const Context& context, const DeformInput& input, Image image, const std::uint8_t* valid,
                         float tissue) {
  double least = contrast_to_noise(context, image, valid, tissue);
  for (int grain = 2; grain <= kCoarsestGrain; ++grain) {
    const Factor factor = factor_of(grain, input);
    const Buffer<float> small = pooled(context, image, factor);
    const Buffer<std::uint8_t> inside = pooled_validity(context, {valid, input.n}, factor);
    least = std::fmin(least, contrast_to_noise(context, small, inside.data(), tissue));
  }
  return least;
}

ImageStatistics image_statistics(const Context& context, const DeformInput& input, const float* data,
                                 const std::uint8_t* valid) {
  const Extent n = input.n;
  const Image image{data, n};
  const std::int64_t count = voxels(n);
  const Summary whole = context.summary(data, count);
  ImageStatistics f{};
  f.flat = !(whole.largest > whole.smallest);
  f.foreground = {float(whole.smallest), float(whole.smallest), float(whole.largest)};
  if (f.flat) return f;
  Buffer<std::uint8_t> inside(context, n);
  context.threshold(data, valid, count, f.foreground.background, inside.data());
  const double fractions[4] = {kTail, kClip, 1 - kClip, 1 - kTail};
  const float lowest = float(whole.smallest), highest = float(whole.largest);
  float tails[4] = {lowest, lowest, highest, highest};
  context.percentiles(data, inside.data(), count, fractions, 4, tails);
  const float range = tails[3] > lowest ? tails[3] - lowest : highest - lowest;
  f.scale = float(kHistogramBins - 1 - 2 * kHistogramPadding) / range;
  f.offset = float(kHistogramPadding) - lowest * f.scale;
  f.foreground.low = tails[1];
  f.foreground.high = tails[2] > tails[1] ? tails[2] : highest;
  f.tissue = f.foreground.background + kTissue * (f.foreground.high - f.foreground.background);
  f.contrast_to_noise = contrast_to_grain(context, input, image, valid, f.tissue);
  const Detail d = context.detail(image, Foreground{f.tissue, f.foreground.low, f.foreground.high});
  const int length[3] = {n.d, n.h, n.w};
  double finest = 1e300, slope = 0;
  for (int a = 0; a < 3; ++a)
    if (length[a] > 1) finest = std::fmin(finest, input.spacing_mm[a]);
  int axes = 0;
  for (int a = 0; a < 3; ++a)
    if (length[a] > 1 && input.spacing_mm[a] < kThick * finest) {
      slope += d.slope[a];
      ++axes;
    }
  if (d.count > 0 && slope > 0)
    f.detail_vox = std::sqrt(axes * (d.square / d.count - std::pow(d.sum / d.count, 2)) / (slope / d.count));
  return f;
}

Binning bins(const Foreground& f) { return {f.background, f.high, kBins}; }

// Returns the correlation of the intensities where both images show tissue, at half the resolution to reduce noise.
double correlation_of_tissue(const Context& context, const DeformInput& input, const ImageStatistics& fixed,
                             const ImageStatistics& moving) {
  if (fixed.flat || moving.flat) return 0;
  const Downsampled half = downsample(context, input, 2);
  const DeformInput& pair = half.input;
  const auto moving_body = body_mask(context, {pair.moving, pair.n}, pair.moving_valid, moving.tissue);
  const auto inside = body_mask(context, {pair.fixed, pair.n}, moving_body.data(), fixed.tissue);
  std::vector<double> histogram(kBins * kBins);
  context.joint_histogram(pair.fixed, pair.moving, inside.data(), voxels(pair.n), bins(fixed.foreground),
                          bins(moving.foreground), Parzen::none, histogram.data());
  return correlation(histogram.data(), kBins, kBins);
}

}  // namespace

PairStatistics measure_image_statistics(const Context& context, const DeformInput& input,
                                        const ImageStatistics* fixed) {
  PairStatistics f{fixed ? *fixed : image_statistics(context, input, input.fixed, input.fixed_valid),
                   image_statistics(context, input, input.moving, input.moving_valid), 0, 0, 0};
  f.correlation = correlation_of_tissue(context, input, f.fixed, f.moving);
  f.contrast_to_noise = std::fmin(f.fixed.contrast_to_noise, f.moving.contrast_to_noise);
  f.detail_vox = std::fmax(f.fixed.detail_vox, f.moving.detail_vox);
  return f;
}

}  // namespace mmreg
