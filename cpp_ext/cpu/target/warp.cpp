// Pull-back of images and labels along a displacement.
// clang-format off: the second is written in terms of the first
#include "cpu/target/sampling.h"
#include "core/sample_image.h"
// clang-format on
#include "cpu/target/operations.h"

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
  const Source<float> s = source(reinterpret_cast<const float*>(moving), m);  // moved, never computed with
  for_vectors(queue, n, [&](Voxel v, auto count) {
    const Points p = points(v, count);
    const Ints label = bits(gather(s.data, nearest_index(p, s)));
    store(warped + v.index, label & inside(p, m), count);
  });
}

}  // namespace mmreg::MMREG_TARGET
