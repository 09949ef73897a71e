// Contrast and steepness of an image inside of its foreground: together they give the size of its detail.
#include "core/image_facts.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct Neighbour {
  std::int64_t back, ahead;
};

MMREG_INLINE Neighbour neighbour(int i, int n, std::int64_t stride) {
  return {i > 0 ? -stride : 0, i + 1 < n ? stride : 0};
}

MMREG_INLINE void visit(const float* p, const Neighbour around[3], const Foreground& f, Detail& d) {
  if (!(*p > f.background)) return;
  const auto clipped = [&](float v) { return v > f.low ? (v < f.high ? v : f.high) : f.low; };
  double slope[3];
  for (int a = 0; a < 3; ++a) {
    const float back = p[around[a].back], ahead = p[around[a].ahead];
    if (!(back > f.background) || !(ahead > f.background)) return;
    const double half = 0.5 * (double(clipped(ahead)) - double(clipped(back)));
    slope[a] = half * half;
  }
  const double here = clipped(*p);
  d.count += 1, d.sum += here, d.square += here * here;
  for (int a = 0; a < 3; ++a) d.slope[a] += slope[a];
}

}  // namespace

Detail detail(Queue& queue, const float* image, Extent n, const Foreground& f) {
  const std::int64_t rows = std::int64_t(n.d) * n.h, grain = 64, pieces = (rows + grain - 1) / grain;
  Scratch<Detail> partial(queue, pieces);
  Detail* const parts = partial;
  parallel(queue, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    Detail d{};
    for (std::int64_t r = begin; r < end; ++r) {
      Neighbour around[3] = {neighbour(int(r / n.h), n.d, std::int64_t(n.h) * n.w), neighbour(int(r % n.h), n.h, n.w), {}};
      for (int x = 0; x < n.w; ++x) {
        around[2] = neighbour(x, n.w, 1);
        visit(image + r * n.w + x, around, f, d);
      }
    }
    parts[begin / grain] = d;
  });
  Detail all{};
  for (std::int64_t i = 0; i < pieces; ++i) {
    all.count += parts[i].count, all.sum += parts[i].sum, all.square += parts[i].square;
    for (int a = 0; a < 3; ++a) all.slope[a] += parts[i].slope[a];
  }
  return all;
}

}  // namespace mmreg::MMREG_TARGET
