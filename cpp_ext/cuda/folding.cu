// Extrema and counts of all nine determinants of core/folding.h, in one pass.
// clang-format off: the order of these headers matters
#include "cuda/differences.h"
#include "core/folding.h"
// clang-format on
#include "cuda/reduce.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr float kInfinity = __builtin_inff();

struct Tally {  // a volume has fewer than 2^31 voxels
  float smallest[9];
  std::int32_t count[9];
};

struct Field {
  const float* u;
  Extent n;
};

MMREG_DEVICE inline Voxel voxel(Extent n, std::int64_t i) {
  const std::uint32_t row = std::uint32_t(i) / unsigned(n.w), z = row / unsigned(n.h);
  return {int(z), int(row - z * n.h), int(std::uint32_t(i) - row * n.w), i};
}

MMREG_DEVICE inline Differences differences(const Field& f, const Voxel& v) {
  const Axis along[3] = {axis(v.z, f.n.d, std::int64_t(f.n.h) * f.n.w), axis(v.y, f.n.h, f.n.w), axis(v.x, f.n.w, 1)};
  Differences d;
  for (int k = 0; k < 3; ++k) {
    const float* const p = f.u + k * voxels(f.n) + v.index;
    for (int a = 0; a < 3; ++a) d.put(k, a, around(p, along[a], *p, One{}), along[a].scale);
  }
  return d;
}

struct Sides {  // whether the backward and the forward neighbour exist; both true along an axis of 1
  bool exists[2];
};

MMREG_DEVICE inline Sides sides(int i, int n) { return {{i > 0 || n == 1, i + 1 < n || n == 1}}; }

MMREG_DEVICE inline Tally tally(const Field& f, const Voxel& v) {
  const Sides z = sides(v.z, f.n.d), y = sides(v.y, f.n.h), x = sides(v.x, f.n.w);
  Tally t;
  determinants(differences(f, v), [&](int i, float det) {
    const int s = i - 1;
    const bool exists = i == 0 || (z.exists[s >> 2 & 1] && y.exists[s >> 1 & 1] && x.exists[s & 1]);
    t.smallest[i] = exists ? min(det, kInfinity) : kInfinity;  // NaN gives infinity
    t.count[i] = exists && !(det > 0.0f);
  });
  return t;
}

}  // namespace

Folding folding(Queue& queue, const float* u, Extent n) {
  Tally none;
  for (int i = 0; i < 9; ++i) {
    none.smallest[i] = kInfinity;
    none.count[i] = 0;
  }
  const Field field{u, n};
  const Tally all = fold(
      queue, voxels(n), none, [=] MMREG_DEVICE(std::int64_t i) { return tally(field, voxel(field.n, i)); },
      [=] MMREG_DEVICE(const Tally& a, const Tally& b) {
        Tally sum;
        for (int i = 0; i < 9; ++i) {
          sum.smallest[i] = min(a.smallest[i], b.smallest[i]);
          sum.count[i] = a.count[i] + b.count[i];
        }
        return sum;
      });
  Folding folding;
  for (int i = 0; i < 9; ++i) {
    folding.smallest[i] = all.smallest[i];
    folding.count[i] = all.count[i];
  }
  return folding;
}

}  // namespace mmreg::MMREG_TARGET
