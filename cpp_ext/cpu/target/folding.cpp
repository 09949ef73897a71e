// Where a displacement folds: determinants from central and from all eight combinations of one-sided differences. All
// eight above 0 is what makes the piecewise linear map of the voxels' corners one to one; central ones alone can miss
// folds. Liu, Chen, Wei, et al.: On finite difference Jacobian computation in deformable image registration, IJCV 2024.
#include "core/jacobian.h"
#include "cpu/target/differences.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr float infinity = __builtin_inff();

struct Tally {
  Floats smallest[9];
  Ints count[9];

  MMREG_INLINE void add(int i, Floats det, Ints there) {
    smallest[i] = min(there ? det : splat(infinity), smallest[i]);
    count[i] -= ~(det > 0.0f) & there;
  }
};

struct Sides {  // of one vector: which neighbours exist, backward and forward
  Ints z[2], y[2], x[2], used;
};

MMREG_INLINE void sides(Ints out[2], Ints i, int n) {
  out[0] = (i > 0) | splat(-(n == 1));
  out[1] = (i < n - 1) | splat(-(n == 1));
}

struct Column {  // one-sided differences of the three components along an axis, plus the identity
  Floats c[3];
};

MMREG_INLINE Floats dot(const Column& a, const Column& b) {
  return a.c[0] * b.c[0] + a.c[1] * b.c[1] + a.c[2] * b.c[2];
}
MMREG_INLINE Column cross(const Column& a, const Column& b) {
  return {{a.c[1] * b.c[2] - a.c[2] * b.c[1], a.c[2] * b.c[0] - a.c[0] * b.c[2], a.c[0] * b.c[1] - a.c[1] * b.c[0]}};
}

MMREG_INLINE void add_one_sided(const Column (&g)[3][2], const Sides& s, Tally& tally) {
  for (int b = 0; b < 2; ++b)
    for (int c = 0; c < 2; ++c) {
      const Column yx = cross(g[1][b], g[2][c]);
      for (int a = 0; a < 2; ++a) tally.add(1 + 4 * a + 2 * b + c, dot(g[0][a], yx), s.z[a] & s.y[b] & s.x[c] & s.used);
    }
}

template <class Count>
MMREG_INLINE void visit(const float* u, Extent n, Voxel v, Count count, const Sides& s, Tally& tally) {
  const Axis z = axis(v.z, n.d, std::int64_t(n.h) * n.w), y = axis(v.y, n.h, n.w);
  const Floats x_scale = row_scale(v.x, n.w);
  Floats middle[3][3];
  Column side[3][2];
  for (int k = 0; k < 3; ++k) {
    const float* p = u + k * voxels(n) + v.index;
    const Floats here = load(p, count);
    const Around a[3] = {around(p, z, here, count), around(p, y, here, count), around_in_row(p, v.x, n.w, here, count)};
    const Floats scale[3] = {splat(z.scale), splat(y.scale), x_scale};
    for (int axis = 0; axis < 3; ++axis) {
      const float one = axis == k;
      middle[k][axis] = central(a[axis], scale[axis]);
      side[axis][0].c[k] = one + (here - a[axis].back);
      side[axis][1].c[k] = one + (a[axis].ahead - here);
    }
  }
  tally.add(0, determinant(middle), s.used);
  add_one_sided(side, s, tally);
}

MMREG_INLINE int in_use(Whole) { return lanes; }
MMREG_INLINE int in_use(int count) { return count; }

}  // namespace

Folding folding(Queue& queue, const float* u, Extent n) {
  constexpr std::int64_t grain = 64;
  const std::int64_t rows = std::int64_t(n.d) * n.h, pieces = (rows + grain - 1) / grain;
  Scratch<Folding> partial(queue, pieces + 1);
  Folding* parts = partial;
  parallel(queue, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    Tally tally;
    for (int i = 0; i < 9; ++i) tally.smallest[i] = splat(infinity), tally.count[i] = Ints{};
    for_vectors_of_rows(n, begin, end, [&](Voxel v, auto count) {
      Sides s;
      sides(s.z, splat(v.z), n.d), sides(s.y, splat(v.y), n.h), sides(s.x, v.x + lane_numbers(), n.w);
      s.used = lane_numbers() < splat(in_use(count));
      visit(u, n, v, count, s, tally);
    });
    Folding& part = parts[begin / grain];
    for (int i = 0; i < 9; ++i) {
      part.smallest[i] = smallest(tally.smallest[i]), part.count[i] = 0;
      for (int k = 0; k < lanes; ++k) part.count[i] += tally.count[i][k];
    }
  });
  Folding all;
  for (int i = 0; i < 9; ++i) {
    all.smallest[i] = infinity, all.count[i] = 0;
    for (std::int64_t k = 0; k < pieces; ++k) {
      if (parts[k].smallest[i] < all.smallest[i]) all.smallest[i] = parts[k].smallest[i];
      all.count[i] += parts[k].count[i];
    }
  }
  return all;
}

}  // namespace mmreg::MMREG_TARGET
