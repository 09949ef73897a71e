// MIND-SSC features. The image is extended by its border value, patches and shifts included.
#include "core/mind.h"

#include "cpu/target/border.h"
#include "cpu/target/half_rows.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct Padded {  // the image with `margin` border values on both sides of each row
  const float* data;
  Extent n;
  int margin, stride;

  const float* row(int z, int y) const {  // element 0 is voxel 0
    return data + (std::int64_t(inside(z, n.d)) * n.h + inside(y, n.h)) * stride + margin;
  }
};

struct Patch {
  int radius, dilation;
};

// ssd[x] = patch mean of (I(q + dv) - I(q))^2 around p + d base.
void distances(const Padded& image, int z, int y, Patch patch, const Pair& pair, float* line, float* ssd) {
  const int r = patch.radius, d = patch.dilation, w = image.n.w;
  const int* v = mind_steps[pair.step];
  for (int x = 0; x < w + 2 * r; ++x) line[x] = 0;
  for (int k = -r; k <= r; ++k)
    for (int j = -r; j <= r; ++j) {
      const int zb = z + k + d * pair.base[0], yb = y + j + d * pair.base[1];
      const float* b = image.row(zb, yb) + d * pair.base[2] - r;
      const float* a = image.row(zb + d * v[0], yb + d * v[1]) + d * (pair.base[2] + v[2]) - r;
      for (int x = 0; x < w + 2 * r; ++x) line[x] += (a[x] - b[x]) * (a[x] - b[x]);
    }
  const float scale = 1.0f / float((2 * r + 1) * (2 * r + 1) * (2 * r + 1));
  for (int x = 0; x < w; ++x) ssd[x] = line[x];
  for (int k = 1; k <= 2 * r; ++k)
    for (int x = 0; x < w; ++x) ssd[x] += line[x + k];
  for (int x = 0; x < w; ++x) ssd[x] *= scale;
}

// The twelve distances less the least of them, and their mean.
void contrast(float* ssd, int w, float* __restrict__ variance) {
  for (int x = 0; x < w; ++x) {
    float least = ssd[x], sum = 0;
    for (int c = 1; c < mind_channels; ++c) least = ssd[c * w + x] < least ? ssd[c * w + x] : least;
    for (int c = 0; c < mind_channels; ++c) sum += ssd[c * w + x] -= least;
    variance[x] = sum * (1.0f / mind_channels);
  }
}

struct Line {  // scratch of one row
  float *ssd, *variance, *line;
  Line(float* memory, int w) : ssd(memory), variance(ssd + mind_channels * w), line(variance + w) {}
  static std::int64_t size(int w, int r) { return std::int64_t(mind_channels + 2) * w + 2 * r; }
};

void row_distances(const Padded& image, int z, int y, Patch patch, Line& l) {
  for (int c = 0; c < mind_channels; ++c) distances(image, z, y, patch, mind_pairs[c], l.line, l.ssd + c * image.n.w);
  contrast(l.ssd, image.n.w, l.variance);
}

// Mean of the variance over a fixed lattice: every eighth plane and every eighth row of them, the middle ones included.
float lattice_mean(Queue& queue, const Padded& image, Patch patch) {
  const Extent n = image.n;
  const int z0 = (n.d - 1) / 2 % 8, y0 = (n.h - 1) / 2 % 8;
  const int planes = (n.d - z0 + 7) / 8, rows = (n.h - y0 + 7) / 8, count = planes * rows;
  const std::int64_t size = Line::size(n.w, patch.radius);
  Scratch<float> lines(queue, count * size), sums(queue, count);
  parallel(queue, count, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Line l(lines + i * size, n.w);
      row_distances(image, z0 + 8 * int(i / rows), y0 + 8 * int(i % rows), patch, l);
      sums[i] = 0;
      for (int x = 0; x < n.w; ++x) sums[i] += l.variance[x];
    }
  });
  double total = 0;
  for (int i = 0; i < count; ++i) total += sums[i];
  return float(total / (double(count) * n.w));
}

// exp(-ssd / variance), with the variance clamped to [0.001, 1000] of its mean; 1 where the image is constant.
void similarities(Line& l, int w, float mean) {
  const float low = mean * 1e-3f, high = mean * 1e3f;
  for (int x = 0; x < w; ++x) {
    const float v = l.variance[x] < low ? low : l.variance[x] > high ? high : l.variance[x];
    l.variance[x] = v > 0 ? 1.0f / v : 0.0f;
  }
  for (int c = 0; c < mind_channels; ++c)
    for (int x = 0; x < w; ++x) l.ssd[c * w + x] = decay(l.ssd[c * w + x] * l.variance[x]);
}

// row(r, ssd) takes the similarities of row r: twelve rows of n.w.
template <class Row>
void each_row(Queue& queue, const float* image, Extent n, Patch patch, Row&& row) {
  const int margin = 2 * patch.dilation + patch.radius, stride = n.w + 2 * margin;
  const std::int64_t rows = std::int64_t(n.d) * n.h, size = Line::size(n.w, patch.radius);
  Scratch<float> extended(queue, rows * stride), lines(queue, (rows + 31) / 32 * size);
  const Padded padded{extended, n, margin, stride};
  parallel(queue, rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) extend_row(image + r * n.w, n.w, margin, extended + r * stride);
  });
  const float mean = lattice_mean(queue, padded, patch);
  parallel(queue, rows, 32, [&](std::int64_t begin, std::int64_t end) {
    Line l(lines + begin / 32 * size, n.w);
    for (std::int64_t r = begin; r < end; ++r) {
      row_distances(padded, int(r / n.h), int(r % n.h), patch, l);
      similarities(l, n.w, mean);
      row(r, l.ssd);
    }
  });
}

}  // namespace

void mind(Queue& queue, const float* image, Extent n, int radius, int dilation, float* features) {
  each_row(queue, image, n, {radius, dilation}, [&](std::int64_t r, const float* ssd) {
    for (int c = 0; c < mind_channels; ++c) {
      float* out = features + c * voxels(n) + r * n.w;
      for (int x = 0; x < n.w; ++x) out[x] = ssd[c * n.w + x];
    }
  });
}

void mind_half(Queue& queue, const float* image, Extent n, int radius, int dilation, Half* features) {
  each_row(queue, image, n, {radius, dilation}, [&](std::int64_t r, const float* ssd) {
    Half* out = features + r * n.w * 16;
    for (int x = 0; x < n.w; ++x)
      for (int c = 0; c < 16; ++c) out[16 * x + c] = c < mind_channels ? narrow(ssd[c * n.w + x]) : Half{0};
  });
}

}  // namespace mmreg::MMREG_TARGET
