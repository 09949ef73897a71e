#include "solver/deform/extrapolate.h"

namespace mmreg {
namespace {

constexpr float kReach_vox = 3;   // sigma of the continuation, along the finest axis
constexpr float kFewest = 1e-3f;  // weight of the mean of the image: it takes over where no valid voxel is near

// Normalised convolution (Knutsson and Westin, CVPR 1993) of the valid voxels about their mean.
TableMemory<float> continued(const Operations& operations, Queue& queue, const float* image, const std::uint8_t* valid,
                             Extent n, const float sigma_vox[3]) {
  const std::int64_t count = voxels(n);
  const TableMemory<float> zero = constant(operations, queue, count, 0), one = constant(operations, queue, count, 1);
  TableMemory<float> weight(operations, queue, zero.size()), out(operations, queue, zero.size());
  operations.select(queue, valid, count, one.data(), zero.data(), weight.data());
  const Summary known = operations.summary(queue, weight.data(), count);
  if (known.sum == 0 || known.smallest > 0) return {};
  operations.select(queue, valid, count, image, zero.data(), out.data());
  const float mean = float(operations.summary(queue, out.data(), count).sum / known.sum);
  operations.combine(queue, count, 1, out.data(), -mean, weight.data(), out.data());
  operations.gaussian(queue, out.data(), 1, n, sigma_vox, out.data());
  operations.gaussian(queue, weight.data(), 1, n, sigma_vox, weight.data());
  operations.combine(queue, count, 1, weight.data(), kFewest, one.data(), weight.data());
  operations.divide(queue, out.data(), 1, count, weight.data(), out.data());
  operations.combine(queue, count, 1, out.data(), mean, one.data(), out.data());
  operations.select(queue, valid, count, image, out.data(), out.data());
  return out;
}

}  // namespace

Filled fill(const Operations& operations, Queue& queue, const DeformInput& input) {
  Filled filled{input, {}, {}};
  float sigma_vox[3];
  for (int a = 0; a < 3; ++a) sigma_vox[a] = float(kReach_vox * finest(input.spacing_mm) / input.spacing_mm[a]);
  if (input.fixed_valid)
    filled.fixed = continued(operations, queue, input.fixed, input.fixed_valid, input.n, sigma_vox);
  if (input.moving_valid)
    filled.moving = continued(operations, queue, input.moving, input.moving_valid, input.n, sigma_vox);
  if (filled.fixed.data()) filled.input.fixed = filled.fixed.data();
  if (filled.moving.data()) filled.input.moving = filled.moving.data();
  return filled;
}

}  // namespace mmreg
