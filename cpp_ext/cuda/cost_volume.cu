// Cost of each displacement in each cell of a coarse grid. A warp processes a strip of cells, whose fixed features stay
// in registers; each thread loads one moving cell at a time and compares it with the whole strip, at a different
// displacement for every cell. The writes of a warp to a cell are contiguous.
#include "core/displacements.h"
#include "cuda/lane.h"
#include "cuda/odometer.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kStrip = 4;   // cells along x
constexpr int kGroup = 8;   // channels per load
constexpr int kUsual = 12;  // channels of MIND-SSC

template <class Cost>
struct Search {
  const Half *fixed, *moving;
  int channels, used;
  Extent n;
  Window window;
  float scale;
  Cost* cost;
};

template <int Used>
struct Features {  // of a strip; empty if the number of channels is only known at run time
  float value[kStrip][Used ? Used : 1];
};

template <int Used>
MMREG_DEVICE Features<Used> keep(const Half* const (&fixed)[kStrip]) {
  Features<Used> f = {};
  for (int i = 0; i < kStrip; ++i)
    for (int c = 0; c < Used; c += kGroup) {
      const Eight some = load_eight(fixed[i] + c);
      for (int k = 0; k < kGroup && c + k < Used; ++k) f.value[i][c + k] = some[k];
    }
  return f;
}

template <int Used>
MMREG_DEVICE void compare(const Features<Used>& f, const Half* const (&)[kStrip], const Half* moving, int,
                          float (&sum)[kStrip]) {
  for (int c = 0; c < Used; c += kGroup) {
    const Eight m = load_eight(moving + c);
    for (int k = 0; k < kGroup && c + k < Used; ++k)
      for (int i = 0; i < kStrip; ++i) {
        const float difference = f.value[i][c + k] - m[k];
        sum[i] += difference * difference;
      }
  }
}

template <>
MMREG_DEVICE void compare<0>(const Features<0>&, const Half* const (&fixed)[kStrip], const Half* moving, int used,
                             float (&sum)[kStrip]) {
  for (int c = 0; c < used; c += kGroup) {
    const Eight m = load_eight(moving + c);
    for (int i = 0; i < kStrip; ++i) {
      const Eight f = load_eight(fixed[i] + c);
      for (int k = 0; k < kGroup; ++k) {
        const float difference = c + k < used ? f[k] - m[k] : 0.0f;
        sum[i] += difference * difference;
      }
    }
  }
}

// Work of thread `lane` of the warp of cells (z, y, x), (z, y, x + 1), ...
template <int Used, class Cost>
MMREG_DEVICE void search(const Search<Cost>& s, int z, int y, int x, int lane) {
  const Window& w = s.window;
  const std::int64_t row = (std::int64_t(z) * s.n.h + y) * s.n.w;
  const int side = w.side(2), reach = side + kStrip - 1, count = w.count();
  const Half* fixed[kStrip];
  for (int i = 0; i < kStrip; ++i) fixed[i] = s.fixed + (row + min(x + i, s.n.w - 1)) * s.channels;
  const Features<Used> f = keep<Used>(fixed);
  for (Odometer at = odometer(lane, w.side(1), reach); at.z < w.side(0); at.next()) {
    const int mz = max(min(z + at.z - w.r[0], s.n.d - 1), 0), my = max(min(y + at.y - w.r[1], s.n.h - 1), 0);
    const int mx = max(min(x + at.x - w.r[2], s.n.w - 1), 0);
    float sum[kStrip] = {};
    compare<Used>(f, fixed, s.moving + ((std::int64_t(mz) * s.n.h + my) * s.n.w + mx) * s.channels, s.used, sum);
    Cost* const out = s.cost + (row + x) * count + (at.z * w.side(1) + at.y) * side + at.x;
    for (int i = 0; i < kStrip; ++i)
      if (at.x >= i && at.x - i < side && x + i < s.n.w) store(out + std::int64_t(i) * (count - 1), sum[i] * s.scale);
  }
}

template <int Used, class Cost>
void search_all(Queue& queue, const Search<Cost>& s) {
  const int strips = (s.n.w + kStrip - 1) / kStrip, h = s.n.h;
  for_each(queue, std::int64_t(s.n.d) * h * strips * kWarpThreads, [=] MMREG_DEVICE(std::int64_t i) {
    const int lane = int(i % kWarpThreads);
    const std::int64_t warp = i / kWarpThreads, row = warp / strips, z = row / h;
    search<Used>(s, int(z), int(row - z * h), int(warp - row * strips) * kStrip, lane);
  });
}

template <class Cost>
void costs(Queue& queue, FeatureImage fixed, const Half* moving, int used, const int radius[3], Cost* cost) {
  const Window window{{radius[0], radius[1], radius[2]}};
  const Search<Cost> s{fixed.data, moving, fixed.channels, used, fixed.n, window, 1.0f / float(used), cost};
  if (used == kUsual)
    search_all<kUsual>(queue, s);
  else
    search_all<0>(queue, s);
}

}  // namespace

void cost_volume(Queue& queue, FeatureImage fixed, const Half* moving, int used, const int radius[3], float* cost) {
  costs(queue, fixed, moving, used, radius, cost);
}
void cost_volume_half(Queue& queue, FeatureImage fixed, const Half* moving, int used, const int radius[3], Half* cost) {
  costs(queue, fixed, moving, used, radius, cost);
}

}  // namespace mmreg::MMREG_TARGET
