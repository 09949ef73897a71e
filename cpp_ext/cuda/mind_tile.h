// MIND-SSC of one tile of the image by a block of threads. For each of the six steps, the patch sums of the squared
// difference image are computed in shared memory, axis by axis; each thread reads the two distances of its voxels and
// keeps them in registers until it has all twelve.
#pragma once
#include <utility>

#include "core/border.h"
#include "core/mind.h"
#include "cuda/four.h"
#include "cuda/launch.h"

namespace mmreg::MMREG_TARGET {

constexpr int kTilePlanes = 4;  // a thread computes one column of voxels
constexpr int kMostTileFloats = kMostSharedBytes / int(sizeof(float));

MMREG_INLINE constexpr int whole_fours(int n) { return (n + 3) / 4 * 4; }

struct PatchSums {  // layout of the patch sums of one step for a tile
  int origin[3];    // position of the first sum relative to the first voxel of the tile
  int planes, rows, columns;
  int border_rows;   // rows including the border of the patches
  int width, pitch;  // of lines in memory, without and with the border of the patches

  MMREG_INLINE int size() const { return planes * rows * width; }
  MMREG_INLINE int plane_size() const { return border_rows * (width + pitch); }  // intermediate values of one plane
};

template <int Step>
MMREG_INLINE PatchSums patch_sums(Patch patch) {
  constexpr Shifts s = shifts_of(Step);
  const int d = patch.dilation, r = patch.radius;
  const int rows = kTileRows + (s.high[1] - s.low[1]) * d, columns = kTileColumns + (s.high[2] - s.low[2]) * d;
  const int width = whole_fours(columns);
  return {{s.low[0] * d, s.low[1] * d, s.low[2] * d},
          kTilePlanes + (s.high[0] - s.low[0]) * d,
          rows,
          columns,
          rows + 2 * r,
          width,
          width + whole_fours(2 * r)};
}

// Calls out(i, sum of in(i) .. in(i + 2 r)) for i < count. R is the radius, or -1 if it is only known at run time.
template <int R, class In, class Out>
MMREG_INLINE void slide(int count, int r, const In& in, const Out& out) {
  if constexpr (R < 0) {
    for (int i = 0; i < count; ++i) {
      float sum = 0;
      for (int k = 0; k <= 2 * r; ++k) sum += in(i + k);
      out(i, sum);
    }
  } else {
    float last[2 * R + 1];
    for (int k = 0; k < 2 * R; ++k) last[k + 1] = in(k);
    for (int i = 0; i < count; ++i) {
      for (int k = 0; k < 2 * R; ++k) last[k] = last[k + 1];
      last[2 * R] = in(i + 2 * R);
      float sum = last[0];
      for (int k = 1; k <= 2 * R; ++k) sum += last[k];
      out(i, sum);
    }
  }
}

struct Distances {
  float of[kTilePlanes][kMindChannels];
};

template <int R>
struct Tile {
  const float* image;
  Extent n;
  Patch patch;
  int z, y, x;  // first voxel
  float* memory;

  MMREG_INLINE int radius() const { return R < 0 ? patch.radius : R; }

  // Computes depth[plane][row][i], the sums along z, for `count` planes from `first`.
  template <int Step>
  MMREG_INLINE void sum_depth(int t, const PatchSums& s, int first, int count, float* depth) const {
    constexpr int along_z = kMindSteps[Step][0], along_y = kMindSteps[Step][1], along_x = kMindSteps[Step][2];
    const int r = radius(), d = patch.dilation, width = s.columns + 2 * r;
    const int z0 = z + s.origin[0] + first - r, y0 = y + s.origin[1] - r, x0 = x + s.origin[2] - r;
    const std::int64_t plane = std::int64_t(n.h) * n.w;
    for (int c = t; c < s.border_rows * width; c += kBlockThreads) {
      const int j = c / width, i = c - j * width;
      const int column = inside(y0 + j, n.h) * n.w + inside(x0 + i, n.w);
      const int other = inside(y0 + j + along_y * d, n.h) * n.w + inside(x0 + i + along_x * d, n.w);
      slide<R>(
          count, r,
          [&](int k) {
            const float here = image[inside(z0 + k, n.d) * plane + column];
            const float difference = image[inside(z0 + k + along_z * d, n.d) * plane + other] - here;
            return difference * difference;
          },
          [&](int k, float sum) { depth[(k * s.border_rows + j) * s.pitch + i] = sum; });
    }
  }

  // across[line][i] = sum of depth[line][i] .. depth[line][i + 2 r], four at a time.
  MMREG_INLINE void sum_across(int t, const PatchSums& s, int lines, const float* depth, float* across) const {
    const int r = radius(), fours = s.width / 4;
    for (int e = t; e < lines * fours; e += kBlockThreads) {
      const int line = e / fours, i = 4 * (e - line * fours);
      const float* const in = depth + line * s.pitch + i;
      Four sum{};
      if constexpr (R < 0) {
        for (int k = 0; k <= 2 * r; ++k)
          for (int a = 0; a < 4; ++a) sum.v[a] += in[k + a];
      } else {
        Four v[R / 2 + 2];
        for (int k = 0; k < whole_fours(2 * R + 4) / 4; ++k) v[k] = reinterpret_cast<const Four*>(in)[k];
        for (int k = 0; k <= 2 * R; ++k)
          for (int a = 0; a < 4; ++a) sum.v[a] += v[(k + a) / 4].v[(k + a) % 4];
      }
      *reinterpret_cast<Four*>(across + line * s.width + i) = sum;
    }
  }

  // sums[plane][row][i] = sum of `across` over the rows of a patch.
  MMREG_INLINE void sum_down(int t, const PatchSums& s, int count, const float* across, float* sums) const {
    for (int e = t; e < count * s.columns; e += kBlockThreads) {
      const int p = e / s.columns, i = e - p * s.columns;
      const float* const in = across + p * s.border_rows * s.width + i;
      float* const out = sums + p * s.rows * s.width + i;
      slide<R>(
          s.rows, radius(), [&](int k) { return in[k * s.width]; }, [&](int k, float sum) { out[k * s.width] = sum; });
    }
  }

  template <int Step>
  MMREG_INLINE void read(int t, const PatchSums& s, const float* sums, Distances& distances) const {
    constexpr Shifts shifts = shifts_of(Step);
    constexpr int a = shifts.channel[0], b = shifts.channel[1];
    read_channel<a>(t, s, sums, distances);
    read_channel<b>(t, s, sums, distances);
  }

  template <int Channel>
  MMREG_INLINE void read_channel(int t, const PatchSums& s, const float* sums, Distances& distances) const {
    constexpr int along_z = kMindPairs[Channel].base[0], along_y = kMindPairs[Channel].base[1],
                  along_x = kMindPairs[Channel].base[2];
    const int d = patch.dilation, row = t / kTileColumns + along_y * d - s.origin[1];
    const float* const from = sums + row * s.width + t % kTileColumns + along_x * d - s.origin[2];
    for (int k = 0; k < kTilePlanes; ++k)
      distances.of[k][Channel] = from[(k + along_z * d - s.origin[0]) * s.rows * s.width];
  }

  // Processes as many planes at once as fit into memory: nearly always all, and the sums then overwrite their input.
  template <int Step>
  MMREG_INLINE void add_step(const Block& block, OfThread<Distances>& distances) const {
    const PatchSums s = patch_sums<Step>(patch);
    const bool whole = s.planes * s.plane_size() <= kMostTileFloats;
    const int most = whole ? s.planes : (kMostTileFloats - s.size()) / s.plane_size();
    float* const depth = memory + (whole ? 0 : s.size());
    float* const across = depth + most * s.border_rows * s.pitch;
    for (int first = 0; first < s.planes; first += most) {
      const int count = s.planes - first < most ? s.planes - first : most;
      block.threads([&](int t) { sum_depth<Step>(t, s, first, count, depth); });
      block.threads([&](int t) { sum_across(t, s, count * s.border_rows, depth, across); });
      block.threads([&](int t) { sum_down(t, s, count, across, memory + first * s.rows * s.width); });
    }
    block.threads([&](int t) { read<Step>(t, s, memory, distances[t]); });
  }

  template <int... Steps>
  MMREG_INLINE void add_steps(const Block& block, OfThread<Distances>& distances,
                              std::integer_sequence<int, Steps...>) const {
    (add_step<Steps>(block, distances), ...);
  }
};

template <int... Steps>
int tile_bytes(Patch patch, std::integer_sequence<int, Steps...>) {
  int most = 0;
  for (const PatchSums& s : {patch_sums<Steps>(patch)...})
    most = s.planes * s.plane_size() > most ? s.planes * s.plane_size() : most;
  return (most < kMostTileFloats ? most : kMostTileFloats) * int(sizeof(float));
}

}  // namespace mmreg::MMREG_TARGET
