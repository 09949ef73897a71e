// Makes a displacement free of folds: wherever one of the nine determinants of `folding` is below a floor, the
// neighbourhood is replaced by its local mean, wider with every round, until none is left. Means flatten the
// difference quotients that caused the fold; elsewhere no bit changes.
#include "core/jacobian.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kPiece = 64;  // voxels of a row that are looked at together

// The largest sum of |differences| of a component over the axes, forward or backward, whichever is longer. It bounds
// the eigenvalues of all nine matrices: where it is below 1 - t, every determinant is above t^3 (Gershgorin). For
// `count` voxels of a row, more than one of them only where each has both its neighbours in the row.
MMREG_INLINE void steepness(const float* u, Extent n, int z, int y, int x, int count, float* most) {
  const std::int64_t stride[3] = {std::int64_t(n.h) * n.w, n.w, 1};
  const int at[3] = {z, y, x}, length[3] = {n.d, n.h, n.w};
  std::int64_t back[3], ahead[3];  // to the neighbours; to the voxel itself where there is none
  for (int a = 0; a < 3; ++a) {
    back[a] = at[a] > 0 ? -stride[a] : 0;
    ahead[a] = at[a] + 1 < length[a] ? stride[a] : 0;
  }
  for (int i = 0; i < count; ++i) most[i] = 0;
  for (int k = 0; k < 3; ++k) {
    const float* const c = u + k * voxels(n) + (std::int64_t(z) * n.h + y) * n.w + x;
#pragma GCC ivdep
    for (int i = 0; i < count; ++i) {
      float sum = 0;
      for (int a = 0; a < 3; ++a) {
        const float b = __builtin_fabsf(c[i] - c[i + back[a]]), f = __builtin_fabsf(c[i + ahead[a]] - c[i]);
        sum += b > f ? b : f;
      }
      most[i] = sum > most[i] || !(sum == sum) ? sum : most[i];
    }
  }
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

struct Span {  // of the voxels of a row
  int begin, end;

  bool empty() const { return begin >= end; }
  void include(int first, int last) {
    if (empty()) begin = first, end = last;
    begin = first < begin ? first : begin;
    end = last > end ? last : end;
  }
};

struct Flags {
  std::uint8_t* voxel;  // 1: below the floor; 2: near such a voxel
  Span *low, *row;      // of each row: where the ones lie, and where any flag does
  Span* look;           // where voxels may have changed since they were looked at
};

// Flags the voxels of row r that are below the floor; forgets its flags of before. Returns how many there are.
std::int64_t flag_row(const float* u, Extent n, std::int64_t r, float floor, const Flags& flags) {
  const float gentle = 1 - __builtin_cbrtf(floor > 0 ? floor : 0) - 1e-3f;  // less than this needs no second look
  const int z = int(r / n.h), y = int(r % n.h);
  std::uint8_t* const out = flags.voxel + r * n.w;
  const Span old = flags.row[r], look = flags.look[r];
  if (!old.empty()) __builtin_memset(out + old.begin, 0, std::size_t(old.end - old.begin));
  Span low{};
  std::int64_t found = 0;
  float steep[kPiece];
  for (int x = look.begin, length; x < look.end; x += length) {
    const int inside = (look.end < n.w - 1 ? look.end : n.w - 1) - x;
    length = x == 0 || inside < 1 ? 1 : inside < kPiece ? inside : kPiece;
    steepness(u, n, z, y, x, length, steep);
    for (int i = 0; i < length; ++i)
      if (!(steep[i] < gentle) && !(smallest_determinant(u, n, z, y, x + i) >= floor))
        out[x + i] = 1, low.include(x + i, x + i + 1), ++found;
  }
  flags.low[r] = flags.row[r] = low;
  return found;
}

// Flags with 2 what lies within `reach` of the voxels first..last of row r and is not yet flagged.
MMREG_INLINE void grow(const Flags& flags, Extent n, std::int64_t r, int first, int last, int reach) {
  const Box begin = box_around(int(r / n.h), int(r % n.h), first, reach, n);
  const int x1 = last + reach < n.w ? last + reach : n.w - 1;
  for (int k = begin.z0; k <= begin.z1; ++k)
    for (int j = begin.y0; j <= begin.y1; ++j) {
      const std::int64_t other = std::int64_t(k) * n.h + j;
      std::uint8_t* const voxel = flags.voxel + other * n.w;
      flags.row[other].include(begin.x0, x1 + 1);
      for (int i = begin.x0; i <= x1; ++i) voxel[i] = voxel[i] ? voxel[i] : 2;
    }
}

// Flags the voxels to smooth: those below the floor and `reach` voxels around them. Returns how many are below.
std::int64_t flag(Queue& queue, const float* u, Extent n, float floor, int reach, const Flags& flags,
                  std::int64_t* found) {
  const std::int64_t rows = std::int64_t(n.d) * n.h, grain = 32, pieces = (rows + grain - 1) / grain;
  parallel(queue, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t& low = found[begin / grain];
    low = 0;
    for (std::int64_t r = begin; r < end; ++r) low += flag_row(u, n, r, floor, flags);
  });
  std::int64_t low = 0;
  for (std::int64_t i = 0; i < pieces; ++i) low += found[i];
  if (!low) return 0;
  for (std::int64_t r = 0; r < rows; ++r)  // few rows have any: grow them one after the other
    for (int x = flags.low[r].begin, end; x < flags.low[r].end; x = end + 1) {
      end = x;  // voxels that follow each other grow together
      if (flags.voxel[r * n.w + x] != 1) continue;
      while (end + 1 < n.w && flags.voxel[r * n.w + end + 1] == 1) ++end;
      grow(flags, n, r, x, end, reach);
    }
  return low;
}

// Only voxels next to a flagged one can have changed.
void look_around(const Flags& flags, Extent n) {
  for (std::int64_t r = 0, rows = std::int64_t(n.d) * n.h; r < rows; ++r) {
    const Box b = box_around(int(r / n.h), int(r % n.h), 0, 1, n);
    Span look{};
    for (int k = b.z0; k <= b.z1; ++k)
      for (int j = b.y0; j <= b.y1; ++j) {
        const Span near = flags.row[std::int64_t(k) * n.h + j];
        if (!near.empty()) look.include(near.begin > 0 ? near.begin - 1 : 0, near.end < n.w ? near.end + 1 : n.w);
      }
    flags.look[r] = look;
  }
}

}  // namespace

std::int64_t unfold(Queue& queue, float* u, Extent n, float floor, int rounds) {
  const std::int64_t rows = std::int64_t(n.d) * n.h, count = voxels(n);
  Scratch<std::uint8_t> voxel(queue, count);
  Scratch<Span> spans(queue, 3 * rows);
  Scratch<std::int64_t> found(queue, rows / 32 + 1);
  Scratch<float> mean(queue, 3 * count);
  const Flags flags{voxel, spans, spans + rows, spans + 2 * rows};
  float* const smooth = mean;
  const auto look_everywhere = [&] {
    for (std::int64_t r = 0; r < rows; ++r) flags.row[r] = flags.look[r] = {0, n.w};
  };
  look_everywhere();
  for (int round = 0; round < rounds; ++round) {
    if (!flag(queue, u, n, floor, 1 + round / 4, flags, found)) return 0;
    const auto flagged = [&](auto&& act) {
      parallel(queue, rows, 32, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r)
          for (int x = flags.row[r].begin; x < flags.row[r].end; ++x)
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
    look_around(flags, n);
  }
  look_everywhere();
  return flag(queue, u, n, floor, 1, flags, found);
}

}  // namespace mmreg::MMREG_TARGET
