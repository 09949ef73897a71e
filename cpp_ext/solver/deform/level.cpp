#include "solver/deform/level.h"

#include <algorithm>
#include <cmath>

#include "solver/deform/warp_moving.h"

namespace mmreg {
namespace {

constexpr int kMargin = 3;          // voxels around the foreground whose features depend on it
constexpr int kPatchRadius = 1;     // of MIND-SSC on every level
constexpr float kElsewhere = 0.3f;  // presence outside the body, enough to keep the map regular

bool whole(const Factor& f) { return f.f[0] == 1 && f.f[1] == 1 && f.f[2] == 1; }

struct LevelImage {  // owns its memory unless the level is the whole grid
  Buffer<float> memory;
  Buffer<std::uint8_t> valid_memory;
  Image image;
  const std::uint8_t* valid;

  LevelImage(const Context& context, Image full, const std::uint8_t* full_valid, const Factor& factor)
      : image(full), valid(full_valid) {
    if (whole(factor)) return;
    memory = pooled(context, full, factor);
    image = memory;
    valid_memory = pooled_validity(context, {full_valid, full.n}, factor);
    valid = valid_memory.data();
  }
};

}  // namespace

Factor factor_of(int along_finest, const DeformInput& input) {
  const int length[3] = {input.n.d, input.n.h, input.n.w};
  Factor factor;
  for (int a = 0; a < 3; ++a)
    factor.f[a] = std::clamp(int(std::lround(along_finest * finest(input.spacing_mm) / input.spacing_mm[a])), 1,
                             std::max(1, length[a] / 4));
  return factor;
}

Extent extent_of(Extent whole, const Factor& factor) {
  const auto ceil = [](int n, int f) { return (n + f - 1) / f; };
  return {ceil(whole.d, factor.f[0]), ceil(whole.h, factor.f[1]), ceil(whole.w, factor.f[2])};
}

AffineMap to_whole(const Factor& factor) {  // the centre of voxel i is f i + (f - 1) / 2
  AffineMap up;
  for (int a = 0; a < 3; ++a) {
    up(a, a) = factor.f[a];
    up(a, 3) = 0.5 * (factor.f[a] - 1);
  }
  return up;
}

Buffer<float> pooled(const Context& context, Image image, const Factor& factor) {
  Buffer<float> out(context, extent_of(image.n, factor));
  context.pool(image, factor.f, out.data());
  return out;
}

Buffer<std::uint8_t> body_mask(const Context& context, Image image, const std::uint8_t* valid, float tissue) {
  const float smoothing[3] = {1, 1, 1};
  Buffer<float> smooth(context, image.n);
  Buffer<std::uint8_t> inside(context, image.n);
  context.gaussian(image, smoothing, smooth.data());
  context.threshold(smooth.data(), valid, voxels(image.n), tissue, inside.data());
  return inside;
}

Buffer<std::uint8_t> pooled_validity(const Context& context, Mask valid, const Factor& factor) {
  if (!valid.data) return {};
  const Extent m = extent_of(valid.n, factor);
  AffineMap middle;  // block index to the index of its middle voxel
  for (int a = 0; a < 3; ++a) {
    middle(a, a) = factor.f[a];
    middle(a, 3) = factor.f[a] / 2;
  }
  const Buffer<float> from = mask_to_float(context, valid), to(context, m);
  Buffer<std::uint8_t> flags(context, m);
  context.resample_affine(from, middle.m, m, Interpolation::nearest, Border::extend, to.data(), nullptr);
  context.threshold(to.data(), nullptr, voxels(m), 0.0f, flags.data());
  return flags;
}

Level::Level(const Context& context, const DeformInput& input, const PairStatistics& statistics, const Factor& f,
             int dilation)
    : n(extent_of(input.n, f)), factor(f), channels(input.fixed_features ? input.channels : 16) {
  double spacing_mm[3];
  for (int a = 0; a < 3; ++a) spacing_mm[a] = input.spacing_mm[a] * f.f[a];
  for (int a = 0; a < 3; ++a) relative[a] = float(finest(spacing_mm) / spacing_mm[a]);
  const LevelImage images[2] = {{context, {input.fixed, input.n}, input.fixed_valid, f},
                                {context, {input.moving, input.n}, input.moving_valid, f}};
  const Half* network_features[2] = {input.fixed_features, input.moving_features};
  const ImageStatistics* own[2] = {&statistics.fixed, &statistics.moving};
  Buffer<Half>* features[2] = {&fixed, &moving};
  const std::int64_t count = voxels(n);
  presence = constant(context, n, kElsewhere);
  const Buffer<float> one = constant(context, n, 1);
  for (int i = 0; i < 2; ++i) {
    const Image image = images[i].image;
    const std::uint8_t* valid = images[i].valid;
    Half* into = (*features[i] = Buffer<Half>(context, n, channels)).data();
    if (network_features[i])
      context.pool_features(FeatureImage{network_features[i], input.n, channels}, f.f, into);
    else
      context.mind_half(image, kPatchRadius, dilation, into);
    context.append_intensity_channels(image, valid, own[i]->scale, own[i]->offset, channels, into);
    const Buffer<std::uint8_t> inside = body_mask(context, image, valid, own[i]->tissue);
    context.where(inside.data(), count, one.data(), presence.data(), presence.data());
  }
  rows = Buffer<std::int32_t>(context, 2 * std::size_t(n.d) * n.h);
  context.active_rows(images[0].image.data, statistics.fixed.foreground.background, images[1].image.data,
                      statistics.moving.foreground.background, n, kMargin, rows.data());
}

Buffer<float> change_level(const Context& context, Displacement u, const Factor& from, Extent out, const Factor& to) {
  const AffineMap map = compose(invert(to_whole(from)), to_whole(to));
  Buffer<float> changed(context, out, 3);
  context.resample_affine(Image(u), map.m, out, Interpolation::linear, Border::extend, changed.data(), nullptr);
  for (int a = 0; a < 3; ++a) {
    float* component = changed.data() + a * voxels(out);
    context.axpby(voxels(out), float(from.f[a]) / float(to.f[a]), component, 0, component, component);
  }
  return changed;
}

}  // namespace mmreg
