#include "pipeline/resampling.h"

#include <cmath>

#include "solver/deform/warp_moving.h"

namespace mmreg {
namespace {

constexpr double kLeastBlur_vox = 0.25;

// A moving scan finer than the fixed grid is smoothed first, or it would alias: each sample then averages as much of
// the scan as a fixed voxel covers.
bool blur(const AffineMap& to_moving, Extent n, float sigma_vox[3]) {
  const int length[3] = {n.d, n.h, n.w};
  bool wanted = false;
  for (int a = 0; a < 3; ++a) {
    double step = 0;
    for (int j = 0; j < 3; ++j) step += to_moving(a, j) * to_moving(a, j);
    sigma_vox[a] = length[a] > 1 && step > 1 ? float(0.5 * std::sqrt(step - 1)) : 0.0f;
    if (sigma_vox[a] < kLeastBlur_vox) sigma_vox[a] = 0;
    wanted |= sigma_vox[a] > 0;
  }
  return wanted;
}

}  // namespace

double covered(const Context& context, const Buffer<std::uint8_t>& valid) {
  return context.summary(mask_to_float(context, valid).data(), std::int64_t(valid.size())).mean;
}

DeformInput input_of(const Scan& fixed, const float* moving, const std::uint8_t* moving_valid) {
  DeformInput input{fixed.data, moving, fixed.mask, moving_valid, fixed.extent, {}, nullptr, nullptr, 0};
  for (int a = 0; a < 3; ++a) input.spacing_mm[a] = length(column(fixed.affine, a));
  return input;
}

void resample_to_grid(const Context& context, ImageView<float> image, const AffineMap& to_moving, Extent n, float* out,
                      std::uint8_t* valid) {
  const Image seen{image.data, image.n};
  float sigma_vox[3];
  if (blur(to_moving, image.n, sigma_vox)) context.gaussian(seen, sigma_vox, image.data);
  context.resample_affine(seen, to_moving.m, n, Interpolation::linear, Border::zero, out, valid);
}

Buffer<float> above_lowest(const Context& context, const Scan& moving, const AffineMap& to_moving) {
  const std::int64_t count = voxels(moving.extent);
  const float lowest = float(context.summary(moving.data, count).smallest);
  Buffer<float> out = constant(context, moving.extent, 1);
  context.axpby(count, 1, moving.data, -lowest, out.data(), out.data());
  float sigma_vox[3];
  if (blur(to_moving, moving.extent, sigma_vox)) context.gaussian(out, sigma_vox, out.data());
  return out;
}

Prepared prepare(const Context& context, const Scan& fixed, const Scan& moving, const AffineMap& to_moving) {
  const Buffer<float> image = above_lowest(context, moving, to_moving);
  Prepared p{{context, fixed.extent}, {context, fixed.extent}};
  context.resample_affine(image, to_moving.m, fixed.extent, Interpolation::linear, Border::zero, p.moving.data(),
                          p.valid.data());
  if (moving.mask) restrict_to_mask(context, {moving.mask, moving.extent}, to_moving, fixed.extent, p.valid.data());
  return p;
}

}  // namespace mmreg
