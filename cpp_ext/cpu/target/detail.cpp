// Contrast and gradient of an image inside its foreground, from which the size of its detail follows.
#include "core/detail.h"

#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

// Returns d plus the contribution of row r. Passed by value, so that the sums stay in registers.
Detail with_row(Detail d, Image image, std::int64_t r, const Foreground f) {
  const Extent n = image.n;
  const int z = int(r / n.h), y = int(r % n.h);
  const std::int64_t plane = std::int64_t(n.h) * n.w;
  Neighbour around[3] = {neighbour(z, n.d, plane, 1), neighbour(y, n.h, n.w, 1), {}};
  Neighbour far[3] = {neighbour(z, n.d, plane, kDetailRim), neighbour(y, n.h, n.w, kDetailRim), {}};
  for (int x = 0; x < n.w; ++x) {
    around[2] = neighbour(x, n.w, 1, 1);
    far[2] = neighbour(x, n.w, 1, kDetailRim);
    add_detail(image.data + r * n.w + x, around, far, f, d);
  }
  return d;
}

}  // namespace

Detail detail(Queue& queue, Image image, const Foreground& f) {
  const std::int64_t rows = std::int64_t(image.n.d) * image.n.h, grain = 64, pieces = (rows + grain - 1) / grain;
  Scratch<Detail> partial(queue, pieces);
  Detail* const parts = partial;
  parallel(queue, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    Detail d{};
    for (std::int64_t r = begin; r < end; ++r) d = with_row(d, image, r, f);
    parts[begin / grain] = d;
  });
  Detail all{};
  for (std::int64_t i = 0; i < pieces; ++i) all = joined(all, parts[i]);
  return all;
}

}  // namespace mmreg::MMREG_TARGET
