// Removes the folds of a displacement: wherever one of the nine determinants of `folding` is below a floor, the
// neighbourhood is replaced by local means, wider with every round, until no fold is left. Elsewhere no bit changes.
// clang-format off: the order of these headers matters
#include "cpu/target/differences.h"
#include "core/remove_folds.h"
// clang-format on
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kPiece = 64;  // voxels of a row that are examined together

// Computes the steepness of `count` voxels of a row. If count > 1, each must have both neighbours in the row.
MMREG_INLINE void steepest(const float* p, std::int64_t size, const Axes& axes, int count, float* most) {
  for (int i = 0; i < count; ++i) most[i] = 0;
  for (int k = 0; k < 3; ++k) {
    const float* const c = p + k * size;
#pragma GCC ivdep
    for (int i = 0; i < count; ++i) most[i] = steeper(steepness(c + i, axes), most[i]);
  }
}

struct Span {  // range of voxels in a row
  int begin, end;

  bool empty() const { return begin >= end; }
  void include(int first, int last) {
    if (empty()) {
      begin = first;
      end = last;
    }
    begin = first < begin ? first : begin;
    end = last > end ? last : end;
  }
};

struct Flags {
  std::uint8_t* voxel;  // 1: below the floor; 2: near such a voxel
  Span *low, *row;      // for each row: the range of flag 1, and of any flag
  Span* look;           // for each row: the range of voxels to examine again
};

// Clears the flags of row r and flags its voxels below the floor. Returns their number.
std::int64_t flag_row(const float* u, Extent n, std::int64_t r, float floor, const Flags& flags) {
  const float enough = gentle(floor);
  const std::int64_t size = voxels(n);
  const int z = int(r / n.h), y = int(r % n.h);
  std::uint8_t* const out = flags.voxel + r * n.w;
  const Span old = flags.row[r], look = flags.look[r];
  if (!old.empty()) __builtin_memset(out + old.begin, 0, std::size_t(old.end - old.begin));
  Span low{};
  std::int64_t count = 0;
  float steep[kPiece];
  for (int x = look.begin, length; x < look.end; x += length) {
    const int inside = (look.end < n.w - 1 ? look.end : n.w - 1) - x;
    length = x == 0 || inside < 1 ? 1 : inside < kPiece ? inside : kPiece;
    const float* const p = u + r * n.w + x;
    const Axes around = axes(z, y, x, n);
    steepest(p, size, around, length, steep);
    for (int i = 0; i < length; ++i)
      if (!(steep[i] < enough) && !(smallest_determinant(p + i, size, around) >= floor)) {
        out[x + i] = 1;
        low.include(x + i, x + i + 1);
        ++count;
      }
  }
  flags.low[r] = flags.row[r] = low;
  return count;
}

// Flags with 2 the unflagged voxels within `reach` of the voxels first..last of row r.
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

// Flags the voxels to smooth: those below the floor and `reach` voxels around them. Returns the number below.
std::int64_t flag(Queue& queue, const float* u, Extent n, float floor, int reach, const Flags& flags,
                  std::int64_t* counts) {
  const std::int64_t rows = std::int64_t(n.d) * n.h, grain = 32, pieces = (rows + grain - 1) / grain;
  parallel(queue, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t& low = counts[begin / grain];
    low = 0;
    for (std::int64_t r = begin; r < end; ++r) low += flag_row(u, n, r, floor, flags);
  });
  std::int64_t low = 0;
  for (std::int64_t i = 0; i < pieces; ++i) low += counts[i];
  if (!low) return 0;
  for (std::int64_t r = 0; r < rows; ++r)  // sequential, since few rows have flags
    for (int x = flags.low[r].begin, end; x < flags.low[r].end; x = end + 1) {
      end = x;  // grows consecutive voxels together
      if (flags.voxel[r * n.w + x] != 1) continue;
      while (end + 1 < n.w && flags.voxel[r * n.w + end + 1] == 1) ++end;
      grow(flags, n, r, x, end, reach);
    }
  return low;
}

// Marks the neighbours of flagged voxels, the only ones that can have changed.
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

void look_everywhere(const Flags& flags, Extent n) {
  for (std::int64_t r = 0, rows = std::int64_t(n.d) * n.h; r < rows; ++r) flags.row[r] = flags.look[r] = {0, n.w};
}

}  // namespace

void count_folds(Queue& queue, const float* u, Extent n, float floor, std::int64_t* count) {
  const std::int64_t rows = std::int64_t(n.d) * n.h;
  Scratch<std::uint8_t> voxel(queue, voxels(n));
  Scratch<Span> spans(queue, 3 * rows);
  Scratch<std::int64_t> counts(queue, rows / 32 + 1);
  const Flags flags{voxel, spans, spans + rows, spans + 2 * rows};
  look_everywhere(flags, n);
  *count = flag(queue, u, n, floor, 0, flags, counts);
}

std::int64_t remove_folds(Queue& queue, float* u, Extent n, float floor, int rounds) {
  const std::int64_t rows = std::int64_t(n.d) * n.h, count = voxels(n);
  Scratch<std::uint8_t> voxel(queue, count);
  Scratch<Span> spans(queue, 3 * rows);
  Scratch<std::int64_t> counts(queue, rows / 32 + 1);
  Scratch<float> mean(queue, 3 * count);
  const Flags flags{voxel, spans, spans + rows, spans + 2 * rows};
  float* const smooth = mean;
  look_everywhere(flags, n);
  for (int round = 0; round < rounds; ++round) {
    if (!flag(queue, u, n, floor, smoothing_radius(round), flags, counts)) return 0;
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
  look_everywhere(flags, n);
  return flag(queue, u, n, floor, 1, flags, counts);
}

}  // namespace mmreg::MMREG_TARGET
