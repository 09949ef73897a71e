// Gaussian and box filters: one weighted sum per axis.
#include <cmath>

#include "cpu/target/border.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int max_taps = 257;

struct Taps {  // weights of -radius .. radius
  int radius;
  float weight[max_taps];
};

Taps gaussian_taps(float sigma) {
  Taps t;
  t.radius = sigma > 0 ? int(std::ceil(4 * double(sigma))) : 0;
  if (t.radius > max_taps / 2) t.radius = max_taps / 2;
  double w[max_taps], sum = 0;
  for (int k = -t.radius; k <= t.radius; ++k)
    sum += w[k + t.radius] = t.radius ? std::exp(-0.5 * k * k / (double(sigma) * sigma)) : 1.0;
  for (int k = 0; k <= 2 * t.radius; ++k) t.weight[k] = float(w[k] / sum);
  return t;
}

Taps box_taps(int radius) {
  Taps t;
  t.radius = radius;
  for (int k = 0; k <= 2 * radius; ++k) t.weight[k] = 1.0f / float(2 * radius + 1);
  return t;
}

void along_x(Queue& queue, const float* in, std::int64_t rows, int w, const Taps& t, float* out) {
  Scratch<float> line(queue, w + 2 * t.radius);
  for (std::int64_t r = 0; r < rows; ++r) {
    extend_row(in + r * w, w, t.radius, line);
    float* o = out + r * w;
    for (int x = 0; x < w; ++x) o[x] = 0;
    for (int k = 0; k <= 2 * t.radius; ++k)
      for (int x = 0; x < w; ++x) o[x] += t.weight[k] * line[x + k];
  }
}

// Along an axis of n elements, each of `width` contiguous values.
void along(const float* in, std::int64_t outer, int n, std::int64_t width, const Taps& t, float* out) {
  for (std::int64_t r = 0; r < outer * n; ++r) {
    const std::int64_t first = r / n * n;
    float* __restrict__ o = out + r * width;
    for (std::int64_t x = 0; x < width; ++x) o[x] = 0;
    for (int k = -t.radius; k <= t.radius; ++k) {
      const float* line = in + (first + inside(int(r - first) + k, n)) * width;
      for (std::int64_t x = 0; x < width; ++x) o[x] += t.weight[k + t.radius] * line[x];
    }
  }
}

void separable(Queue& queue, const float* image, int channels, Extent n, const Taps taps[3], float* out) {
  Scratch<float> a(queue, voxels(n)), b(queue, voxels(n));
  for (int c = 0; c < channels; ++c) {
    along_x(queue, image + c * voxels(n), std::int64_t(n.d) * n.h, n.w, taps[2], a);
    along(a, n.d, n.h, n.w, taps[1], b);
    along(b, 1, n.d, std::int64_t(n.h) * n.w, taps[0], out + c * voxels(n));
  }
}

}  // namespace

void gaussian(Queue& queue, const float* image, int channels, Extent n, const float sigma_vox[3], float* out) {
  const Taps taps[3] = {gaussian_taps(sigma_vox[0]), gaussian_taps(sigma_vox[1]), gaussian_taps(sigma_vox[2])};
  separable(queue, image, channels, n, taps, out);
}

void box(Queue& queue, const float* image, int channels, Extent n, const int radius[3], float* out) {
  const Taps taps[3] = {box_taps(radius[0]), box_taps(radius[1]), box_taps(radius[2])};
  separable(queue, image, channels, n, taps, out);
}

}  // namespace mmreg::MMREG_TARGET
