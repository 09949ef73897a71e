// Voxelwise products, quotients and selections, as in a normalised convolution (Knutsson and Westin, CVPR 1993). One
// thread per voxel for all channels, so that a weight is read once.
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void multiply(Queue& queue, Image field, const float* weight, float* out) {
  const std::int64_t count = voxels(field.n);
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) {
    const float w = weight[i];
    for (int c = 0; c < field.channels; ++c) out[c * count + i] = field.data[c * count + i] * w;
  });
}

void divide(Queue& queue, Image field, const float* weight, float* out) {
  const std::int64_t count = voxels(field.n);
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) {
    const float w = weight[i];
    for (int c = 0; c < field.channels; ++c) out[c * count + i] = field.data[c * count + i] / w;
  });
}

void where(Queue& queue, const std::uint8_t* mask, std::int64_t count, const float* inside, const float* outside,
           float* out) {
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) { out[i] = mask[i] ? inside[i] : outside[i]; });
}

}  // namespace mmreg::MMREG_TARGET
