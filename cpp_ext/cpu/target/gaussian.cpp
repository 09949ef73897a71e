// Gaussian smoothing truncated at ceil(4 sigma), one weighted sum per axis.
#include "cpu/target/smoothing.h"

namespace mmreg::MMREG_TARGET {
namespace {

// Computes V vectors of the weighted sum of rows[-radius .. radius], from element x.
template <int V>
MMREG_INLINE void weigh(const float* const* rows, const Taps& t, int x, float* out) {
  Floats sum[V];
  for (int v = 0; v < V; ++v) sum[v] = load(rows[0] + x + v * kLanes) * t.weight[0];
  for (int k = 1; k <= t.radius; ++k) {
    const float *a = rows[-k] + x, *b = rows[k] + x;
    const Floats w = splat(t.weight[k]);
    for (int v = 0; v < V; ++v) sum[v] += w * (load(a + v * kLanes) + load(b + v * kLanes));
  }
  for (int v = 0; v < V; ++v) store(out + x + v * kLanes, sum[v]);
}

MMREG_INLINE void weigh_end(const float* const* rows, const Taps& t, int x, int count, float* out) {
  Floats sum = load(rows[0] + x, count) * t.weight[0];
  for (int k = 1; k <= t.radius; ++k) sum += t.weight[k] * (load(rows[-k] + x, count) + load(rows[k] + x, count));
  store(out + x, sum, count);
}

void weigh_row(const float* const* rows, const Taps& t, int w, float* out) {
  int x = 0;
  for (; x + 4 * kLanes <= w; x += 4 * kLanes) weigh<4>(rows, t, x, out);
  for (; x + kLanes <= w; x += kLanes) weigh<1>(rows, t, x, out);
  if (x < w) weigh_end(rows, t, x, w - x, out);
}

struct Gaussian {
  static constexpr int step = 4;
  int radius[3];
  Taps y, x;
  float depth_weight[2 * (kMaxRadius + step)];  // weights for row 0 of a step, padded by zeros

  Gaussian(Extent n, const float sigma_vox[3])
      : y(gaussian_taps(sigma_vox[1], n.h)), x(gaussian_taps(sigma_vox[2], n.w)) {
    const Taps z = gaussian_taps(sigma_vox[0], n.d);
    radius[0] = z.radius;
    radius[1] = y.radius;
    radius[2] = x.radius;
    for (float& w : depth_weight) w = 0;
    for (int k = -z.radius; k <= z.radius; ++k) depth_weight[step - 1 + z.radius + k] = z.weight[k < 0 ? -k : k];
  }

  void plane(const float* const* rows, int count, int w, float* line, float* out, std::int64_t stride) const {
    const float* shifted[2 * kMaxRadius + 1];
    for (int k = 0; k <= 2 * x.radius; ++k) shifted[k] = line + k;
    for (int i = 0; i < count; ++i, out += stride) {
      float* const middle = line + x.radius;
      weigh_row(rows + i + y.radius, y, w, middle);
      for (int k = 0; k < x.radius; ++k) {
        line[k] = middle[0];
        middle[w + k] = middle[w - 1];
      }
      weigh_row(shifted + x.radius, x, w, out);
    }
  }

  // Each row of the ring is loaded once for `step` output rows.
  template <int V>
  MMREG_INLINE void sum_planes(const float* const* planes, int x0, Floats (*sum)[V]) const {
    for (int s = 0; s < step; ++s)
      for (int v = 0; v < V; ++v) sum[s][v] = Floats{};
    for (int k = 0; k < 2 * radius[0] + step; ++k) {
      Floats row[V];
      for (int v = 0; v < V; ++v) row[v] = load(planes[k] + x0 + v * kLanes);
      for (int s = 0; s < step; ++s)
        for (int v = 0; v < V; ++v) sum[s][v] += depth_weight[step - 1 + k - s] * row[v];
    }
  }

  void depth(const float* const* planes, int w, std::int64_t size, float* out, int count) const {
    int i = 0;
    for (; i + 2 * kLanes <= w; i += 2 * kLanes) {
      Floats sum[step][2];
      sum_planes<2>(planes, i, sum);
      for (int s = 0; s < step; ++s)
        if (s < count) {
          store(out + s * size + i, sum[s][0]);
          store(out + s * size + i + kLanes, sum[s][1]);
        }
    }
    for (; i < w; i += kLanes) {
      Floats sum[step][1];
      sum_planes<1>(planes, i, sum);
      for (int s = 0; s < step; ++s)
        if (s < count) store(out + s * size + i, sum[s][0], w - i < kLanes ? w - i : kLanes);
    }
  }
};

}  // namespace

void gaussian(Queue& queue, Image image, const float sigma_vox[3], float* out) {
  smooth(queue, Gaussian(image.n, sigma_vox), image, out);
}

}  // namespace mmreg::MMREG_TARGET
