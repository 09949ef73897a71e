#include "solver/deform/extrapolate.h"

namespace mmreg {
namespace {

constexpr float kSigma_vox = 3;   // sigma of the extrapolation along the finest axis
constexpr float kFewest = 1e-3f;  // weight of the image mean, which dominates far from valid voxels

// Returns the normalised convolution (Knutsson and Westin, CVPR 1993) of the valid voxels about their mean; empty if
// all voxels are valid, or none.
Buffer<float> extrapolated(const Context& context, Image image, const std::uint8_t* valid, const float sigma_vox[3]) {
  const Extent n = image.n;
  const std::int64_t count = voxels(n);
  const Buffer<float> zero = constant(context, n, 0), one = constant(context, n, 1);
  Buffer<float> weight(context, n), out(context, n);
  context.where(valid, count, one.data(), zero.data(), weight.data());
  const Summary known = context.summary(weight.data(), count);
  if (known.sum == 0 || known.smallest > 0) return {};
  context.where(valid, count, image.data, zero.data(), out.data());
  const float mean = float(context.summary(out.data(), count).sum / known.sum);
  context.axpby(count, 1, out.data(), -mean, weight.data(), out.data());
  context.gaussian(out, sigma_vox, out.data());
  context.gaussian(weight, sigma_vox, weight.data());
  context.axpby(count, 1, weight.data(), kFewest, one.data(), weight.data());
  context.divide(out, weight.data(), out.data());
  context.axpby(count, 1, out.data(), mean, one.data(), out.data());
  context.where(valid, count, image.data, out.data(), out.data());
  return out;
}

}  // namespace

ExtrapolatedPair extrapolate(const Context& context, const DeformInput& input) {
  ExtrapolatedPair pair{input, {}, {}};
  float sigma_vox[3];
  for (int a = 0; a < 3; ++a) sigma_vox[a] = float(kSigma_vox * finest(input.spacing_mm) / input.spacing_mm[a]);
  if (input.fixed_valid) pair.fixed = extrapolated(context, {input.fixed, input.n}, input.fixed_valid, sigma_vox);
  if (input.moving_valid) pair.moving = extrapolated(context, {input.moving, input.n}, input.moving_valid, sigma_vox);
  if (pair.fixed.data()) pair.input.fixed = pair.fixed.data();
  if (pair.moving.data()) pair.input.moving = pair.moving.data();
  return pair;
}

}  // namespace mmreg
