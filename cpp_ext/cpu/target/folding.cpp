// Extrema and counts of all nine determinants of core/folding.h, in one pass.
// clang-format off: the order of these headers matters
#include "cpu/target/differences.h"
#include "core/folding.h"
// clang-format on
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr float kInfinity = __builtin_inff();

struct Tally {
  Floats smallest[9];
  Ints count[9];

  MMREG_INLINE void add(int i, Floats det, Ints exists) {
    smallest[i] = min(exists ? det : splat(kInfinity), smallest[i]);
    count[i] -= ~(det > 0.0f) & exists;
  }
};

struct Sides {  // masks of the voxels of a vector that have a backward and a forward neighbour
  Ints z[2], y[2], x[2], used;
};

MMREG_INLINE void sides(Ints out[2], Ints i, int n) {
  out[0] = (i > 0) | splat(-(n == 1));
  out[1] = (i < n - 1) | splat(-(n == 1));
}

template <class Count>
MMREG_INLINE void visit(const float* u, Extent n, Voxel v, Count count, const Sides& s, Tally& tally) {
  const Axis z = axis(v.z, n.d, std::int64_t(n.h) * n.w), y = axis(v.y, n.h, n.w);
  const Floats x_scale = row_scale(v.x, n.w);
  Differences d;
  for (int k = 0; k < 3; ++k) {
    const float* p = u + k * voxels(n) + v.index;
    const Floats here = load(p, count);
    d.put(k, 0, around(p, z, here, count), splat(z.scale));
    d.put(k, 1, around(p, y, here, count), splat(y.scale));
    d.put(k, 2, around_in_row(p, v.x, n.w, here, count), x_scale);
  }
  determinants(d, [&](int i, Floats det) MMREG_INLINE_LAMBDA {
    const int side = i - 1;
    tally.add(i, det, i == 0 ? s.used : s.z[side >> 2 & 1] & s.y[side >> 1 & 1] & s.x[side & 1] & s.used);
  });
}

MMREG_INLINE int in_use(Whole) { return kLanes; }
MMREG_INLINE int in_use(int count) { return count; }

}  // namespace

Folding folding(Queue& queue, const float* u, Extent n) {
  constexpr std::int64_t grain = 64;
  const std::int64_t rows = std::int64_t(n.d) * n.h, pieces = (rows + grain - 1) / grain;
  Scratch<Folding> partial(queue, pieces + 1);
  Folding* parts = partial;
  parallel(queue, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    Tally tally;
    for (int i = 0; i < 9; ++i) {
      tally.smallest[i] = splat(kInfinity);
      tally.count[i] = Ints{};
    }
    for_vectors_of_rows(n, begin, end, [&](Voxel v, auto count) {
      Sides s;
      sides(s.z, splat(v.z), n.d);
      sides(s.y, splat(v.y), n.h);
      sides(s.x, v.x + lane_numbers(), n.w);
      s.used = lane_numbers() < splat(in_use(count));
      visit(u, n, v, count, s, tally);
    });
    Folding& part = parts[begin / grain];
    for (int i = 0; i < 9; ++i) {
      part.smallest[i] = smallest(tally.smallest[i]);
      part.count[i] = 0;
      for (int k = 0; k < kLanes; ++k) part.count[i] += tally.count[i][k];
    }
  });
  Folding all;
  for (int i = 0; i < 9; ++i) {
    all.smallest[i] = kInfinity;
    all.count[i] = 0;
    for (std::int64_t k = 0; k < pieces; ++k) {
      if (parts[k].smallest[i] < all.smallest[i]) all.smallest[i] = parts[k].smallest[i];
      all.count[i] += parts[k].count[i];
    }
  }
  return all;
}

}  // namespace mmreg::MMREG_TARGET
