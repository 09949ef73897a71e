// Makes a displacement free of folds: wherever one of the nine determinants of `folding` is below a floor, the
// neighbourhood is replaced by its local mean, wider with every round, until none is left. Means flatten the
// difference quotients that caused the fold; elsewhere no bit changes.
#include "core/jacobian.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

// The largest sum of |differences| of a component over the axes, forward or backward, whichever is longer. It bounds
// the eigenvalues of all nine matrices: where it is below 1 - t, every determinant is above t^3 (Gershgorin).
MMREG_INLINE float steepness(const float* u, Extent n, int z, int y, int x) {
  const std::int64_t count = voxels(n), stride[3] = {std::int64_t(n.h) * n.w, n.w, 1};
  const int at[3] = {z, y, x}, length[3] = {n.d, n.h, n.w};
  const float* p = u + (std::int64_t(z) * n.h + y) * n.w + x;
  float most = 0;
  for (int k = 0; k < 3; ++k) {
    const float* c = p + k * count;
    float sum = 0;
    for (int a = 0; a < 3; ++a) {
      const float b = at[a] > 0 ? __builtin_fabsf(c[0] - c[-stride[a]]) : 0;
      const float f = at[a] + 1 < length[a] ? __builtin_fabsf(c[stride[a]] - c[0]) : 0;
      sum += b > f ? b : f;
    }
    most = sum > most || !(sum == sum) ? sum : most;
  }
  return most;
}

MMREG_INLINE float smallest_determinant(const float* u, Extent n, int z, int y, int x) {
  const std::int64_t count = voxels(n), stride[3] = {std::int64_t(n.h) * n.w, n.w, 1};
  const int at[3] = {z, y, x}, length[3] = {n.d, n.h, n.w};
  const float* p = u + (std::int64_t(z) * n.h + y) * n.w + x;
  float side[2][3][3], middle[3][3];
  for (int a = 0; a < 3; ++a) {
    const bool back = at[a] > 0, ahead = at[a] + 1 < length[a];
    for (int k = 0; k < 3; ++k) {
      const float* c = p + k * count;
      const float b = back ? c[0] - c[-stride[a]] : 0, f = ahead ? c[stride[a]] - c[0] : 0;
      side[0][k][a] = back ? b : f, side[1][k][a] = ahead ? f : b;
      middle[k][a] = 0.5f * (side[0][k][a] + side[1][k][a]);
    }
  }
  float least = determinant(middle);
  for (int s = 0; s < 8; ++s) {
    float g[3][3];
    for (int k = 0; k < 3; ++k)
      for (int a = 0; a < 3; ++a) g[k][a] = side[s >> a & 1][k][a];
    const float d = determinant(g);
    least = d < least ? d : least;
  }
  return least;
}

struct Box {
  int z0, z1, y0, y1, x0, x1;
};

MMREG_INLINE Box box_around(int z, int y, int x, int r, Extent n) {
  const auto low = [](int i) { return i > 0 ? i : 0; };
  const auto high = [](int i, int m) { return i < m ? i : m - 1; };
  return {low(z - r), high(z + r, n.d), low(y - r), high(y + r, n.h), low(x - r), high(x + r, n.w)};
}

MMREG_INLINE void mean_around(const float* u, Extent n, int z, int y, int x, float* out) {
  const Box b = box_around(z, y, x, 1, n);
  float sum[3] = {};
  for (int k = b.z0; k <= b.z1; ++k)
    for (int j = b.y0; j <= b.y1; ++j)
      for (int i = b.x0; i <= b.x1; ++i)
        for (int c = 0; c < 3; ++c) sum[c] += u[c * voxels(n) + (std::int64_t(k) * n.h + j) * n.w + i];
  const float share = 1.0f / float((b.z1 - b.z0 + 1) * (b.y1 - b.y0 + 1) * (b.x1 - b.x0 + 1));
  for (int c = 0; c < 3; ++c) out[c] = sum[c] * share;
}

struct Flags {  // a byte for each voxel, and whether a row has any
  std::uint8_t *voxel, *row;
};

// Flags with 2 what lies within `reach` of the voxels first..last of row r and is not yet flagged.
MMREG_INLINE void grow(const Flags& flags, Extent n, std::int64_t r, int first, int last, int reach) {
  const Box begin = box_around(int(r / n.h), int(r % n.h), first, reach, n);
  const int x1 = last + reach < n.w ? last + reach : n.w - 1;
  for (int k = begin.z0; k <= begin.z1; ++k)
    for (int j = begin.y0; j <= begin.y1; ++j) {
      const std::int64_t other = std::int64_t(k) * n.h + j;
      std::uint8_t* const voxel = flags.voxel + other * n.w;
      flags.row[other] |= 2;
      for (int i = begin.x0; i <= x1; ++i) voxel[i] = voxel[i] ? voxel[i] : 2;
    }
}

// Flags the voxels to smooth: those below the floor and `reach` voxels around them. Returns how many are below.
std::int64_t flag(Queue& queue, const float* u, Extent n, float floor, int reach, const Flags& flags,
                  std::int64_t* found, const std::uint8_t* look) {
  const std::int64_t rows = std::int64_t(n.d) * n.h, grain = 32, pieces = (rows + grain - 1) / grain;
  const float gentle = 1 - __builtin_cbrtf(floor > 0 ? floor : 0) - 1e-3f;  // less than this needs no second look
  parallel(queue, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t low = 0;
    for (std::int64_t r = begin; r < end; ++r) {
      std::uint8_t* out = flags.voxel + r * n.w;
      flags.row[r] = 0;
      __builtin_memset(out, 0, std::size_t(n.w));
      if (look && !look[r]) continue;
      const int z = int(r / n.h), y = int(r % n.h);
      for (int x = 0; x < n.w; ++x) {
        if (steepness(u, n, z, y, x) < gentle) continue;
        if (!(smallest_determinant(u, n, z, y, x) >= floor)) out[x] = 1, flags.row[r] = 1, ++low;
      }
    }
    found[begin / grain] = low;
  });
  std::int64_t low = 0;
  for (std::int64_t i = 0; i < pieces; ++i) low += found[i];
  if (!low) return 0;
  for (std::int64_t r = 0; r < rows; ++r) {  // few rows have any: grow them one after the other
    if (!(flags.row[r] & 1)) continue;
    for (int x = 0, end; x < n.w; x = end + 1) {  // voxels that follow each other grow together
      end = x;
      if (flags.voxel[r * n.w + x] != 1) continue;
      while (end + 1 < n.w && flags.voxel[r * n.w + end + 1] == 1) ++end;
      grow(flags, n, r, x, end, reach);
    }
  }
  return low;
}

}  // namespace

std::int64_t unfold(Queue& queue, float* u, Extent n, float floor, int rounds) {
  const std::int64_t rows = std::int64_t(n.d) * n.h, count = voxels(n);
  Scratch<std::uint8_t> voxel(queue, count), row(queue, rows), look(queue, rows);
  Scratch<std::int64_t> found(queue, rows / 32 + 1);
  Scratch<float> mean(queue, 3 * count);
  const Flags flags{voxel, row};
  std::uint8_t* const near = look;
  float* const smooth = mean;
  for (int round = 0; round < rounds; ++round) {
    const std::int64_t low = flag(queue, u, n, floor, 1 + round / 4, flags, found, round ? near : nullptr);
    if (!low) return 0;
    const auto flagged = [&](auto&& act) {
      parallel(queue, rows, 32, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r)
          for (int x = 0; flags.row[r] && x < n.w; ++x)
            if (flags.voxel[r * n.w + x]) act(r, x);
      });
    };
    flagged([&](std::int64_t r, int x) {
      float m[3];
      mean_around(u, n, int(r / n.h), int(r % n.h), x, m);
      for (int c = 0; c < 3; ++c) smooth[c * count + r * n.w + x] = m[c];
    });
    flagged([&](std::int64_t r, int x) {
      for (int c = 0; c < 3; ++c) u[c * count + r * n.w + x] = smooth[c * count + r * n.w + x];
    });
    for (std::int64_t r = 0; r < rows; ++r) {  // only rows near a change can have changed
      const Box b = box_around(int(r / n.h), int(r % n.h), 0, 1, n);
      near[r] = 0;
      for (int k = b.z0; k <= b.z1; ++k)
        for (int j = b.y0; j <= b.y1; ++j) near[r] |= flags.row[std::int64_t(k) * n.h + j] != 0;
    }
  }
  return flag(queue, u, n, floor, 1, flags, found, nullptr);
}

}  // namespace mmreg::MMREG_TARGET
