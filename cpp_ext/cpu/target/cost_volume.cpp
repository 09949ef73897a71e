// Cost of each displacement in each cell of a coarse grid. The features are rearranged into one padded float row per
// channel, so that a vector holds neighbouring cells; the costs are finally transposed to rows of displacements.
#include "cpu/target/border.h"
#include "cpu/target/cells.h"
#include "cpu/target/smoothing.h"
#include "cpu/target/transpose.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kGroup = 12;  // channels whose fixed features stay in registers

// Features as (d, h, channels, w), each row extended by its border value for reads at x - r .. x + r.
struct Planar {
  float* data;
  Extent n;
  int channels, border;

  std::int64_t pitch() const { return whole_vectors(n.w) + 2 * border + kLanes; }
  std::int64_t size() const { return std::int64_t(n.d) * n.h * channels * pitch(); }
  float* row(int z, int y) const {  // row of channel 0; element 0 is cell 0
    return data + (std::int64_t(inside(z, n.d)) * n.h + inside(y, n.h)) * channels * pitch() + border;
  }
  void fill_row(const Half* features, int stored, int z, int y) const {
    const Half* in = features + (std::int64_t(z) * n.h + y) * n.w * stored;
    for (int c = 0; c < channels; ++c) {
      float* out = row(z, y) + c * pitch();
      for (int x = -border; x < pitch() - border; ++x) out[x] = widen(in[std::int64_t(inside(x, n.w)) * stored + c]);
    }
  }
};

struct Pairing {
  Planar fixed, moving;
  Window window;
  float scale;
};

// Adds the squared differences of up to `kGroup` channels for one row of displacements along x.
template <int Channels>
void add_channels(const float* fixed, const float* moving, std::int64_t pitch_f, std::int64_t pitch_m, int channels,
                  int side, bool first, float* costs) {
  const int count = Channels ? Channels : channels;
  Floats f[Channels ? Channels : kGroup];
  for (int c = 0; c < count; ++c) f[c] = load(fixed + c * pitch_f);
  for (int k = 0; k < side; ++k, costs += kLanes) {
    Floats even{}, odd{};
    for (int c = 0; c < count; c += 2) {
      const Floats a = f[c] - load(moving + c * pitch_m + k);
      even += a * a;
      if (c + 1 == count) break;
      const Floats b = f[c + 1] - load(moving + (c + 1) * pitch_m + k);
      odd += b * b;
    }
    store(costs, first ? even + odd : load(costs) + (even + odd));
  }
}

// Computes costs[k][lane] for the kLanes cells from (z, y, x).
void search(const Pairing& p, int z, int y, int x, float* costs) {
  const int *r = p.window.r, side = p.window.side(2);
  const std::int64_t pitch_f = p.fixed.pitch(), pitch_m = p.moving.pitch();
  for (int dz = -r[0]; dz <= r[0]; ++dz)
    for (int dy = -r[1]; dy <= r[1]; ++dy, costs += side * kLanes) {
      const float *f = p.fixed.row(z, y) + x, *m = p.moving.row(z + dz, y + dy) + x - r[2];
      for (int c = 0; c < p.fixed.channels; c += kGroup, f += kGroup * pitch_f, m += kGroup * pitch_m) {
        const int rest = p.fixed.channels - c;
        if (rest >= kGroup)
          add_channels<kGroup>(f, m, pitch_f, pitch_m, kGroup, side, c == 0, costs);
        else
          add_channels<0>(f, m, pitch_f, pitch_m, rest, side, c == 0, costs);
      }
    }
}

template <class Cost>
void costs(Queue& queue, FeatureImage fixed, const Half* moving, int used, const int radius[3], Cost* cost) {
  const Extent n = fixed.n;
  const Window window{{radius[0], radius[1], radius[2]}};
  Pairing p{{nullptr, n, used, 0}, {nullptr, n, used, radius[2]}, window, 1.0f / float(used)};
  const int count = window.count();
  const std::int64_t size = whole_vectors(count) * kLanes;
  Scratch<float> f(queue, p.fixed.size()), m(queue, p.moving.size()), memory(queue, workers(queue) * size);
  p.fixed.data = f;
  p.moving.data = m;
  parallel(queue, std::int64_t(n.d) * n.h, 1, [&](std::int64_t row, std::int64_t) {
    p.fixed.fill_row(fixed.data, fixed.channels, int(row / n.h), int(row % n.h));
    p.moving.fill_row(moving, fixed.channels, int(row / n.h), int(row % n.h));
  });
  parallel_pieces(queue, std::int64_t(n.d) * n.h, [&](std::int64_t row, int worker) {
    float* const costs = memory + worker * size;
    for (int x = 0; x < n.w; x += kLanes) {
      search(p, int(row / n.h), int(row % n.h), x, costs);
      const int cells = n.w - x < kLanes ? n.w - x : kLanes;
      for (int k = 0; k < count; k += kLanes)
        store_transposed(costs + k * kLanes, p.scale, cost + (row * n.w + x) * count + k, count, cells,
                         count - k < kLanes ? count - k : kLanes);
    }
  });
}

}  // namespace

void cost_volume(Queue& queue, FeatureImage fixed, const Half* moving, int used, const int radius[3], float* cost) {
  costs(queue, fixed, moving, used, radius, cost);
}
void cost_volume_half(Queue& queue, FeatureImage fixed, const Half* moving, int used, const int radius[3], Half* cost) {
  costs(queue, fixed, moving, used, radius, cost);
}

}  // namespace mmreg::MMREG_TARGET
