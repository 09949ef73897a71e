// Contrast and steepness of an image inside of its foreground: together they give the size of its detail.
#include "core/image_facts.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kRim = 3;  // the edge of the foreground is no detail of the anatomy

struct Neighbour {
  std::int64_t back, ahead;
};

MMREG_INLINE Neighbour neighbour(int i, int n, std::int64_t stride, int distance) {
  return {(i > distance ? -distance : -i) * stride, (i + distance < n ? distance : n - 1 - i) * stride};
}

MMREG_INLINE void visit(const float* p, const Neighbour around[3], const Neighbour far[3], const Foreground& f,
                        Detail& d) {
  if (!(*p > f.background)) return;
  for (int a = 0; a < 3; ++a)
    if (!(p[far[a].back] > f.background) || !(p[far[a].ahead] > f.background)) return;
  const auto clipped = [&](float v) { return v > f.low ? (v < f.high ? v : f.high) : f.low; };
  double slope[3];
  for (int a = 0; a < 3; ++a) {
    const double half = 0.5 * (double(clipped(p[around[a].ahead])) - double(clipped(p[around[a].back])));
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
      const int z = int(r / n.h), y = int(r % n.h);
      const std::int64_t plane = std::int64_t(n.h) * n.w;
      Neighbour around[3] = {neighbour(z, n.d, plane, 1), neighbour(y, n.h, n.w, 1), {}};
      Neighbour far[3] = {neighbour(z, n.d, plane, kRim), neighbour(y, n.h, n.w, kRim), {}};
      for (int x = 0; x < n.w; ++x) {
        around[2] = neighbour(x, n.w, 1, 1), far[2] = neighbour(x, n.w, 1, kRim);
        visit(image + r * n.w + x, around, far, f, d);
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
