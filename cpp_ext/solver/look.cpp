// What the images say about themselves before a setting is chosen.
#include <cmath>

#include "solver/deform.h"

namespace mmreg {
namespace {

constexpr double kTail = 0.005;  // share of the foreground that may saturate at each end


ImageFacts facts(const Operations& operations, Queue& queue, const float* image, const std::uint8_t* valid, Extent n) {
  const Summary whole = operations.summary(queue, image, voxels(n));
  ImageFacts f{};
  f.flat = !(whole.largest > whole.smallest);
  f.foreground = {float(whole.smallest), float(whole.smallest), float(whole.largest)};
  if (f.flat) return f;
  const double fractions[2] = {kTail, 1 - kTail};
  float tails[2] = {float(whole.smallest), float(whole.largest)};
  operations.percentiles(queue, image, valid, voxels(n), fractions, 2, tails);
  if (tails[1] > tails[0]) f.foreground.high = tails[1];
  const float range = f.foreground.high - f.foreground.low;
  f.scale = float(histogram_bins - 1 - 2 * histogram_padding) / range;
  f.offset = float(histogram_padding) - f.foreground.low * f.scale;
  const Detail d = operations.detail(queue, image, n, f.foreground);
  const double slope = d.slope[0] + d.slope[1] + d.slope[2];
  const int axes = (n.d > 1) + (n.h > 1) + (n.w > 1);
  if (d.count > 0 && slope > 0)
    f.detail_vox = std::sqrt(axes * (d.square / d.count - std::pow(d.sum / d.count, 2)) / (slope / d.count));
  return f;
}

}  // namespace

DeformFacts look(const Operations& operations, Queue& queue, const DeformInput& input) {
  DeformFacts f{facts(operations, queue, input.fixed, input.fixed_valid, input.n),
                facts(operations, queue, input.moving, input.moving_valid, input.n), 0};
  f.detail_vox = std::fmax(f.fixed.detail_vox, f.moving.detail_vox);
  return f;
}

}  // namespace mmreg
