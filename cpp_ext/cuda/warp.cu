// Pull-back of images and labels along a displacement.
#include "cuda/sampling.h"
#include "solver/target_operations.h"

namespace mmreg::MMREG_TARGET {

void warp(Queue& queue, const float* moving, int channels, Extent m, const float* u, Extent n, Interpolation kind,
          Border border, float* warped, std::uint8_t* valid) {
  sample_image(queue, moving, channels, m, kind, border, n, Displaced{u, voxels(n)}, warped, valid);
}

void warp_labels(Queue& queue, const std::int32_t* moving, Extent m, const float* u, Extent n, std::int32_t* warped) {
  const Displaced points{u, voxels(n)};
  const Source grid = source(nullptr, m);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    const Points p = points(v, One{});
    warped[v.index] = inside(p, m) ? moving[nearest_index(p, grid)] : 0;
  });
}

}  // namespace mmreg::MMREG_TARGET
