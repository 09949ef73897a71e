#include "solver/pull.h"

namespace mmreg {

void restrict_to_mask(const Operations& operations, Queue& queue, const std::uint8_t* mask, Extent m,
                      const AffineMap& to_moving, Extent n, std::uint8_t* valid) {
  std::vector<std::uint8_t> host(std::size_t(voxels(m)));
  operations.download(queue, host.data(), mask, host.size());
  const TableMemory<float> from = uploaded(operations, queue, std::vector<float>(host.begin(), host.end()));
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

}  // namespace mmreg
