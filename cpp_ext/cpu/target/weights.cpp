// Voxelwise products, quotients and selections, as in a normalised convolution (Knutsson and Westin, CVPR 1993).
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr std::int64_t kGrain = 1 << 15;

// out = of(field, weight) for each voxel, with the same weight for every channel.
template <class Of>
void weighted(Queue& queue, Image field, const float* weight, float* out, const Of& of) {
  const std::int64_t count = voxels(field.n);
  parallel(queue, count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (int c = 0; c < field.channels; ++c) {
      const float* const in = field.data + c * count;
      float* const to = out + c * count;
#pragma GCC ivdep
      for (std::int64_t i = begin; i < end; ++i) to[i] = of(in[i], weight[i]);
    }
  });
}

}  // namespace

void multiply(Queue& queue, Image field, const float* weight, float* out) {
  weighted(queue, field, weight, out, [](float value, float w) { return value * w; });
}

void divide(Queue& queue, Image field, const float* weight, float* out) {
  weighted(queue, field, weight, out, [](float value, float w) { return value / w; });
}

void where(Queue& queue, const std::uint8_t* mask, std::int64_t count, const float* inside, const float* outside,
           float* out) {
  parallel(queue, count, kGrain, [&](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i) out[i] = mask[i] ? inside[i] : outside[i];
  });
}

}  // namespace mmreg::MMREG_TARGET
