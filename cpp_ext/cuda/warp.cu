// Pull-back of images and labels along a displacement.
// clang-format off: the second is written in terms of the first
#include "cuda/sampling.h"
#include "core/sample_image.h"
// clang-format on
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void warp(Queue& queue, const float* moving, int channels, Extent m, const float* u, Extent n, Interpolation kind,
          const Outside& outside, float* warped, std::uint8_t* valid) {
  sample_image(queue, moving, channels, m, kind, outside, n, Displaced{u, voxels(n)}, warped, valid);
}

void warp_half(Queue& queue, const Half* moving, int channels, Extent m, const float* u, Extent n, Interpolation kind,
               const Outside& outside, Half* warped, std::uint8_t* valid) {
  sample_image(queue, moving, channels, m, kind, outside, n, Displaced{u, voxels(n)}, warped, valid);
}

void warp_labels(Queue& queue, const std::int32_t* moving, Extent m, const float* u, Extent n, std::int32_t* warped) {
  const Displaced points{u, voxels(n)};
  const Source<std::int32_t> s = source(moving, m);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    const Points p = points(v, One{});
    warped[v.index] = inside(p, m) ? s.data[nearest_index(p, s)] : 0;
  });
}

}  // namespace mmreg::MMREG_TARGET
