// Warps images and labels by a displacement.
// clang-format off: the order of these headers matters
#include "cuda/sampling.h"
#include "core/sample_image.h"
// clang-format on
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void warp(Queue& queue, Image moving, Displacement u, Interpolation kind, const Outside& outside, float* warped,
          std::uint8_t* valid) {
  sample_image(queue, moving, kind, outside, u.n, displaced(u), warped, valid);
}

void warp_half(Queue& queue, ImageView<const Half> moving, Displacement u, Interpolation kind, const Outside& outside,
               Half* warped, std::uint8_t* valid) {
  sample_image(queue, moving, kind, outside, u.n, displaced(u), warped, valid);
}

void warp_labels(Queue& queue, ImageView<const std::int32_t> moving, Displacement u, std::int32_t* warped) {
  const Displaced points = displaced(u);
  const Source<std::int32_t> s = source(moving.data, moving.n);
  for_voxels(queue, u.n, [=] MMREG_DEVICE(const Voxel& v) {
    const Points p = points(v, One{});
    warped[v.index] = inside(p, s.n) ? s.data[nearest_index(p, s)] : 0;
  });
}

}  // namespace mmreg::MMREG_TARGET
