#include "solver/deform/warp_moving.h"

namespace mmreg {

Buffer<float> mask_to_float(const Context& context, Mask mask) {
  const Buffer<float> ones = constant(context, mask.n, 1);
  Buffer<float> out = constant(context, mask.n, 0);
  context.where(mask.data, voxels(mask.n), ones.data(), out.data(), out.data());
  return out;
}

void restrict_to_mask(const Context& context, Mask mask, const AffineMap& to_moving, Extent n, std::uint8_t* valid) {
  const Buffer<float> from = mask_to_float(context, mask), to(context, n);
  context.resample_affine(from, to_moving.m, n, Interpolation::nearest, Border::zero, to.data(), nullptr);
  context.threshold(to.data(), valid, voxels(n), 0.0f, valid);
}

WarpedMoving warp_moving(const Context& context, const DeformInput& input, const AffineMap& to_moving) {
  WarpedMoving p{{context, input.n}, {context, input.n}};
  context.resample_affine(Image{input.moving, input.n}, to_moving.m, input.n, Interpolation::linear, Border::extend,
                          p.moving.data(), p.valid.data());
  if (input.moving_valid) restrict_to_mask(context, {input.moving_valid, input.n}, to_moving, input.n, p.valid.data());
  return p;
}

WarpedMoving warp_moving(const Context& context, const DeformInput& input, const float* field) {
  const Displacement u{field, input.n};
  WarpedMoving p{{context, input.n}, {context, input.n}};
  context.warp(Image{input.moving, input.n}, u, Interpolation::linear, Border::extend, p.moving.data(), p.valid.data());
  if (!input.moving_valid) return p;
  const Buffer<float> from = mask_to_float(context, {input.moving_valid, input.n}), to(context, input.n);
  context.warp(from, u, Interpolation::nearest, Border::zero, to.data(), nullptr);
  context.threshold(to.data(), p.valid.data(), voxels(input.n), 0.0f, p.valid.data());
  return p;
}

}  // namespace mmreg
