// Contrast and gradient of an image inside its foreground, from which the size of its detail follows.
#include "core/detail.h"
#include "cuda/reduce.h"

namespace mmreg::MMREG_TARGET {

Detail detail(Queue& queue, Image image, const Foreground& foreground) {
  const Foreground f = foreground;
  const Extent n = image.n;
  const std::int64_t plane = std::int64_t(n.h) * n.w;
  const auto at = [=] MMREG_DEVICE(std::int64_t i) {
    const std::int64_t row = i / n.w;
    const int z = int(row / n.h), y = int(row - std::int64_t(z) * n.h), x = int(i - row * n.w);
    const Neighbour around[3] = {neighbour(z, n.d, plane, 1), neighbour(y, n.h, n.w, 1), neighbour(x, n.w, 1, 1)};
    const Neighbour far[3] = {neighbour(z, n.d, plane, kDetailRim), neighbour(y, n.h, n.w, kDetailRim),
                              neighbour(x, n.w, 1, kDetailRim)};
    Detail d{};
    add_detail(image.data + i, around, far, f, d);
    return d;
  };
  return fold(queue, voxels(n), Detail{}, at,
              [=] MMREG_DEVICE(const Detail& a, const Detail& b) { return joined(a, b); });
}

}  // namespace mmreg::MMREG_TARGET
