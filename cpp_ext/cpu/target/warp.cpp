// Warps images and labels by a displacement.
// clang-format off: the order of these headers matters
#include "cpu/target/sampling.h"
#include "core/sample_image.h"
// clang-format on
#include "cpu/target/operations.h"

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
  const Source<float> s = source(reinterpret_cast<const float*>(moving.data), moving.n);  // nearest only moves bits
  for_vectors(queue, u.n, [&](Voxel v, auto count) {
    const Points p = points(v, count);
    const Ints label = bits(gather(s.data, nearest_index(p, s)));
    store(warped + v.index, label & inside(p, s.n), count);
  });
}

}  // namespace mmreg::MMREG_TARGET
