#include "solver/deform/warp_moving.h"

namespace mmreg {

Buffer<float> mask_to_float(const Context& context, const std::uint8_t* mask, std::int64_t count) {
  const Buffer<float> ones = constant(context, count, 1);
  Buffer<float> out = constant(context, count, 0);
  context.where(mask, count, ones.data(), out.data(), out.data());
  return out;
}

void restrict_to_mask(const Context& context, const std::uint8_t* mask, Extent m, const AffineMap& to_moving, Extent n,
                      std::uint8_t* valid) {
  const Buffer<float> from = mask_to_float(context, mask, voxels(m));
  Buffer<float> to(context, std::size_t(voxels(n)));
  context.resample_affine(from.data(), 1, m, to_moving.m, n, Interpolation::nearest, Border::zero, to.data(), nullptr);
  context.threshold(to.data(), valid, voxels(n), 0.0f, valid);
}

WarpedMoving warp_moving(const Context& context, const DeformInput& input, const AffineMap& to_moving) {
  const std::size_t count = std::size_t(voxels(input.n));
  WarpedMoving p{{context, count}, {context, count}};
  context.resample_affine(input.moving, 1, input.n, to_moving.m, input.n, Interpolation::linear, Border::extend,
                          p.moving.data(), p.valid.data());
  if (input.moving_valid) restrict_to_mask(context, input.moving_valid, input.n, to_moving, input.n, p.valid.data());
  return p;
}

WarpedMoving warp_moving(const Context& context, const DeformInput& input, const float* u) {
  const std::int64_t count = voxels(input.n);
  WarpedMoving p{{context, std::size_t(count)}, {context, std::size_t(count)}};
  context.warp(input.moving, 1, input.n, u, input.n, Interpolation::linear, Border::extend, p.moving.data(),
               p.valid.data());
  if (!input.moving_valid) return p;
  const Buffer<float> from = mask_to_float(context, input.moving_valid, count);
  Buffer<float> to(context, std::size_t(count));
  context.warp(from.data(), 1, input.n, u, input.n, Interpolation::nearest, Border::zero, to.data(), nullptr);
  context.threshold(to.data(), p.valid.data(), count, 0.0f, p.valid.data());
  return p;
}

}  // namespace mmreg
