// Removes the folds of a displacement: wherever one of the nine determinants of `folding` is below a floor, the
// neighbourhood is replaced by local means, wider with every round, until no fold is left. The grid is divided into
// tiles, and a round processes only tiles with voxels to smooth: blocks of other tiles return immediately.
// clang-format off: the order of these headers matters
#include "cuda/differences.h"
#include "core/remove_folds.h"
// clang-format on
#include <utility>

#include "cuda/launch.h"
#include "cuda/queue.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kTileSlices = 8;

struct Tiles {
  Extent n, tiles;  // number of voxels and of tiles along each axis

  MMREG_INLINE std::int64_t of(int z, int y, int x) const {
    return (std::int64_t(z / kTileSlices) * tiles.h + y / kTileRows) * tiles.w + x / kTileColumns;
  }
};

Tiles tiles_of(Extent n) {
  const auto pieces = [](int length, int size) { return (length + size - 1) / size; };
  return {n, {pieces(n.d, kTileSlices), pieces(n.h, kTileRows), pieces(n.w, kTileColumns)}};
}

struct State {                 // in a kernel, all threads write the same value to a byte, so that races are harmless
  std::uint8_t* flag;          // per voxel: 1 below the floor; 2, 3, 4: near such a voxel, along axis 0, 1, 2
  std::uint8_t* flagged;       // per tile: whether it has flags
  std::uint8_t *look, *next;   // per tile: whether to examine its voxels in this round, and in the next
  unsigned long long* so_far;  // number of voxels below the floor, in all rounds
};

// Calls body(voxel) for the voxels of thread t in a tile, a column across its slices.
template <class Body>
MMREG_DEVICE void for_column(const Tiles& tiles, int tile, int t, const Body& body) {
  const int slab = tile / tiles.tiles.w, across = tile - slab * tiles.tiles.w, deep = slab / tiles.tiles.h;
  const int z = deep * kTileSlices, y = (slab - deep * tiles.tiles.h) * kTileRows + t / kTileColumns,
            x = across * kTileColumns + t % kTileColumns;
  if (y >= tiles.n.h || x >= tiles.n.w) return;
  for (int k = z; k < z + kTileSlices && k < tiles.n.d; ++k)
    body(Voxel{k, y, x, (std::int64_t(k) * tiles.n.h + y) * tiles.n.w + x});
}

template <class Body>
void for_flagged_tiles(Queue& queue, const Tiles& tiles, const State& state, const Body& body) {
  for_blocks(queue, voxels(tiles.tiles), 0, [=] MMREG_DEVICE(const Block& block) {
    if (!state.flagged[block.index]) return;
    block.threads([=] MMREG_DEVICE(int t) { for_column(tiles, block.index, t, body); });
  });
}

struct Limits {
  float floor, gentle;
};

MMREG_DEVICE inline bool is_below(const float* u, Extent n, const Voxel& v, const Limits& limits) {
  const std::int64_t size = voxels(n);
  const float* const p = u + v.index;
  const Axes a = axes(v.z, v.y, v.x, n);
  float most = 0;
  for (int k = 0; k < 3; ++k) most = steeper(steepness(p + k * size, a), most);
  return !(most < limits.gentle) && !(smallest_determinant(p, size, a) >= limits.floor);
}

// Flags the voxels below the floor in the tiles to examine, and clears their other flags.
void look(Queue& queue, const float* u, const Tiles& tiles, const Limits& limits, const State& state) {
  for_blocks(queue, voxels(tiles.tiles), sizeof(std::uint32_t), [=] MMREG_DEVICE(const Block& block) {
    std::uint32_t* const count = reinterpret_cast<std::uint32_t*>(block.memory);
    block.threads([=] MMREG_DEVICE(int t) {
      if (t == 0) {
        *count = 0;
        state.flagged[block.index] = 0;
        state.next[block.index] = 0;
      }
    });
    if (!state.look[block.index]) return;
    block.threads([=] MMREG_DEVICE(int t) {
      std::uint32_t low = 0;
      for_column(tiles, block.index, t, [&](const Voxel& v) {
        const bool below = is_below(u, tiles.n, v, limits);
        state.flag[v.index] = below;
        low += below;
      });
      if (low) atomic_add(count, low);
    });
    block.threads([=] MMREG_DEVICE(int t) {
      if (t == 0 && *count) {
        state.flagged[block.index] = 1;
        atomic_add(state.so_far, *count);
      }
    });
  });
}

// Flags the voxels within `reach` of a flagged one along an axis; the three axes in turn make boxes. Flags set by this
// call are not read by it, so that the order of the threads does not matter.
void grow(Queue& queue, const Tiles& tiles, const State& state, int axis, int reach) {
  const Extent n = tiles.n;
  const std::uint8_t mark = std::uint8_t(2 + axis);
  for_flagged_tiles(queue, tiles, state, [=] MMREG_DEVICE(const Voxel& v) {
    if (state.flag[v.index] == 0 || state.flag[v.index] >= mark) return;
    const int at = axis == 0 ? v.z : axis == 1 ? v.y : v.x, length = axis == 0 ? n.d : axis == 1 ? n.h : n.w;
    const std::int64_t stride = axis == 0 ? std::int64_t(n.h) * n.w : axis == 1 ? n.w : 1;
    for (int i = at > reach ? -reach : -at; i <= reach && at + i < length; ++i) {
      std::uint8_t& flag = state.flag[v.index + i * stride];
      if (flag == 0) flag = mark;
      state.flagged[tiles.of(v.z + (axis == 0) * i, v.y + (axis == 1) * i, v.x + (axis == 2) * i)] = 1;
    }
  });
}

// Replaces flagged voxels by local means and marks the tiles of these voxels and their neighbours, whose determinants
// may have changed. The corners of the box around a voxel lie in all tiles that it overlaps.
void smooth(Queue& queue, const Tiles& tiles, const State& state, float* u, float* mean) {
  const Extent n = tiles.n;
  const std::int64_t size = voxels(n);
  for_flagged_tiles(queue, tiles, state, [=] MMREG_DEVICE(const Voxel& v) {
    if (!state.flag[v.index]) return;
    float m[3];
    mean_around(u, n, v.z, v.y, v.x, m);
    for (int c = 0; c < 3; ++c) mean[c * size + v.index] = m[c];
  });
  for_flagged_tiles(queue, tiles, state, [=] MMREG_DEVICE(const Voxel& v) {
    if (!state.flag[v.index]) return;
    for (int c = 0; c < 3; ++c) u[c * size + v.index] = mean[c * size + v.index];
    const Box b = box_around(v.z, v.y, v.x, 1, n);
    for (int corner = 0; corner < 8; ++corner)
      state.next[tiles.of(corner & 4 ? b.z1 : b.z0, corner & 2 ? b.y1 : b.y0, corner & 1 ? b.x1 : b.x0)] = 1;
  });
}

// Examines the marked tiles and returns the number of voxels below, and waits. `before`: total of all previous rounds.
std::int64_t count_below(Queue& queue, const float* u, const Tiles& tiles, const Limits& limits, const State& state,
                         unsigned long long& before) {
  look(queue, u, tiles, limits, state);
  unsigned long long now = 0;
  download(queue, &now, state.so_far, sizeof now);
  return std::int64_t(now - std::exchange(before, now));
}

}  // namespace

void count_folds(Queue& queue, const float* u, Extent n, float floor, std::int64_t* count) {
  static_assert(sizeof(std::int64_t) == sizeof(unsigned long long), "atomic_add takes this type");
  const auto total = reinterpret_cast<unsigned long long*>(count);
  const Limits limits{floor, gentle(floor)};
  for_each(queue, 1, [=] MMREG_DEVICE(std::int64_t) { *total = 0; });
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    if (is_below(u, n, v, limits)) atomic_add(total, 1ull);  // rare in a plausible field
  });
}

std::int64_t remove_folds(Queue& queue, float* u, Extent n, float floor, int rounds) {
  const Tiles tiles = tiles_of(n);
  const std::int64_t count = voxels(tiles.tiles);
  const Scratch<std::uint8_t> flag(queue, voxels(n)), marks(queue, 3 * count);
  const Scratch<unsigned long long> so_far(queue, 1);
  State state{flag.data(), marks.data(), marks.data() + count, marks.data() + 2 * count, so_far.data()};
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) {
    state.look[i] = 1;
    if (i == 0) *state.so_far = 0;
  });
  const Limits limits{floor, gentle(floor)};
  unsigned long long before = 0;
  std::int64_t below = count_below(queue, u, tiles, limits, state, before);
  if (!below || rounds <= 0) return below;
  const Scratch<float> mean(queue, 3 * voxels(n));
  for (int round = 0; below && round < rounds; ++round) {
    for (int axis = 0; axis < 3; ++axis) grow(queue, tiles, state, axis, smoothing_radius(round));
    smooth(queue, tiles, state, u, mean.data());
    std::swap(state.look, state.next);
    below = count_below(queue, u, tiles, limits, state, before);
  }
  return below;
}

}  // namespace mmreg::MMREG_TARGET
