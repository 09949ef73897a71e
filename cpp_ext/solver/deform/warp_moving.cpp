#include "solver/deform/warp_moving.h"

namespace mmreg {

TableMemory<float> numbers(const Operations& operations, Queue& queue, const std::uint8_t* mask, std::int64_t count) {
  const TableMemory<float> ones = constant(operations, queue, count, 1);
  TableMemory<float> out = constant(operations, queue, count, 0);
  operations.select(queue, mask, count, ones.data(), out.data(), out.data());
  return out;
}

void restrict_to_mask(const Operations& operations, Queue& queue, const std::uint8_t* mask, Extent m,
                      const AffineMap& to_moving, Extent n, std::uint8_t* valid) {
  const TableMemory<float> from = numbers(operations, queue, mask, voxels(m));
  TableMemory<float> to(operations, queue, std::size_t(voxels(n)));
  operations.resample_affine(queue, from.data(), 1, m, to_moving.m, n, Interpolation::nearest, Border::zero, to.data(),
                             nullptr);
  operations.above(queue, to.data(), valid, voxels(n), 0.0f, valid);
}

Pulled pull(const Operations& operations, Queue& queue, const DeformInput& input, const AffineMap& to_moving) {
  const std::size_t count = std::size_t(voxels(input.n));
  Pulled p{{operations, queue, count}, {operations, queue, count}};
  operations.resample_affine(queue, input.moving, 1, input.n, to_moving.m, input.n, Interpolation::linear,
                             Border::extend, p.moving.data(), p.valid.data());
  if (input.moving_valid)
    restrict_to_mask(operations, queue, input.moving_valid, input.n, to_moving, input.n, p.valid.data());
  return p;
}

Pulled pull(const Operations& operations, Queue& queue, const DeformInput& input, const float* u) {
  const std::int64_t count = voxels(input.n);
  Pulled p{{operations, queue, std::size_t(count)}, {operations, queue, std::size_t(count)}};
  operations.warp(queue, input.moving, 1, input.n, u, input.n, Interpolation::linear, Border::extend, p.moving.data(),
                  p.valid.data());
  if (!input.moving_valid) return p;
  const TableMemory<float> from = numbers(operations, queue, input.moving_valid, count);
  TableMemory<float> to(operations, queue, std::size_t(count));
  operations.warp(queue, from.data(), 1, input.n, u, input.n, Interpolation::nearest, Border::zero, to.data(), nullptr);
  operations.above(queue, to.data(), p.valid.data(), count, 0.0f, p.valid.data());
  return p;
}

}  // namespace mmreg
