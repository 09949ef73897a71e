// Local normalised cross-correlation, as the mean of its square over all windows (Avants et al., 2008). Running sums
// of five products along z and y, then sums along x: nothing but one tile of sums is ever stored.
#include "core/correlation.h"
#include "cpu/target/border.h"
#include "cpu/target/operations.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int products = 5;
constexpr int tile_rows = 32;
constexpr float raised_by = 1e-4f;  // of the variance of the image; above the rounding of the running sums

struct Statistics {
  float mean, variance;
};

Statistics statistics(Queue& queue, const float* image, std::int64_t count) {
  constexpr std::int64_t grain = 1 << 16;
  const std::int64_t pieces = (count + grain - 1) / grain;
  Scratch<double> sums(queue, 2 * pieces);
  const float origin = image[0];
  parallel(queue, count, grain, [&](std::int64_t begin, std::int64_t end) {
    double total[2] = {0, 0};
    for (std::int64_t i = begin; i < end; i += 1024) {
      Floats a{}, b{};
      for (std::int64_t j = i, last = i + 1024 < end ? i + 1024 : end; j < last; j += lanes) {
        const int n = last - j < lanes ? int(last - j) : lanes;
        const Floats v = load(image + j, n) - (lane_numbers() < splat(n) ? splat(origin) : Floats{});
        a += v, b += v * v;
      }
      total[0] += double(sum(a)), total[1] += double(sum(b));
    }
    sums[2 * (begin / grain)] = total[0], sums[2 * (begin / grain) + 1] = total[1];
  });
  double a = 0, b = 0;
  for (std::int64_t i = 0; i < pieces; ++i) a += sums[2 * i], b += sums[2 * i + 1];
  a /= double(count), b /= double(count);
  return {float(origin + a), float(b - a * a > 0 ? b - a * a : 0)};
}

struct Images {
  const float *f, *g;
  Extent n;
  Statistics sf, sg;
  int radius;
};

// Adds the products of plane z, times `sign`, to the sums of rows [first, last) (clamped into the image).
void add_plane(const Images& in, int z, float sign, int first, int last, std::int64_t stride, float* sums) {
  const std::int64_t plane = std::int64_t(last - first) * stride;
  for (int y = first; y < last; ++y) {
    const std::int64_t at = (std::int64_t(inside(z, in.n.d)) * in.n.h + inside(y, in.n.h)) * in.n.w;
    float* s = sums + (y - first) * stride;
    for (int x = 0; x < in.n.w; x += lanes) {
      const int n = in.n.w - x < lanes ? in.n.w - x : lanes;
      const Floats f = load(in.f + at + x, n) - in.sf.mean, g = load(in.g + at + x, n) - in.sg.mean;
      const Floats fs = f * sign, gs = g * sign;
      store(s + x, load(s + x) + fs);
      store(s + plane + x, load(s + plane + x) + gs);
      store(s + 2 * plane + x, load(s + 2 * plane + x) + f * fs);
      store(s + 3 * plane + x, load(s + 3 * plane + x) + g * gs);
      store(s + 4 * plane + x, load(s + 4 * plane + x) + f * gs);
    }
  }
}

// line[p] += sums[p](ahead) - sums[p](behind), if there is one, and its border values on both sides.
void add_rows(const float* ahead, const float* behind, std::int64_t plane, int w, int r, std::int64_t length,
              float* line) {
  for (int p = 0; p < products; ++p, ahead += plane, behind += behind ? plane : 0) {
    float* l = line + p * length + r;
    for (int x = 0; x < w; x += lanes)
      store(l + x, load(l + x) + load(ahead + x) - (behind ? load(behind + x) : Floats{}));
    for (int x = 0; x < r; ++x) l[x - r] = l[0];
    for (int x = 0; x < r + lanes; ++x) l[w + x] = l[w - 1];
  }
}

// The squared correlation of one row of windows; returns its sum.
float correlate_row(const Images& in, const float* line, std::int64_t length, float* map) {
  const int r = in.radius, w = in.n.w, side = 2 * r + 1;
  const float scale = 1.0f / (float(side) * float(side) * float(side));
  Floats total{};
  for (int x = 0; x < w; x += lanes) {
    const int n = w - x < lanes ? w - x : lanes;
    Floats m[products];
    for (int p = 0; p < products; ++p) {
      const float* l = line + p * length + x;
      m[p] = load(l);
      for (int k = 1; k < side; ++k) m[p] += load(l + k);
      m[p] *= scale;
    }
    Floats c = squared_correlation(m, raised_by * in.sf.variance, raised_by * in.sg.variance);
    c = lane_numbers() < splat(n) ? c : Floats{};
    total += c;
    if (map) store(map + x, c, n);
  }
  return sum(total);
}

struct Tile {  // rows [first, last) of the output, with scratch for their sums
  int first, last;
  float *sums, *line;
};

double correlate_tile(const Images& in, const Tile& t, std::int64_t stride, float* map) {
  const int r = in.radius, top = t.first - r, bottom = t.last + r;
  const std::int64_t plane = (bottom - top) * stride, length = stride + 2 * r + lanes;
  for (std::int64_t i = 0; i < products * plane; ++i) t.sums[i] = 0;
  for (int z = -r; z < r; ++z) add_plane(in, z, 1, top, bottom, stride, t.sums);
  double total = 0;
  for (int z = 0; z < in.n.d; ++z) {
    add_plane(in, z + r, 1, top, bottom, stride, t.sums);
    for (std::int64_t i = 0; i < products * length; ++i) t.line[i] = 0;
    for (int k = 0; k < 2 * r; ++k) add_rows(t.sums + k * stride, nullptr, plane, in.n.w, r, length, t.line);
    for (int y = t.first; y < t.last; ++y) {
      const float *ahead = t.sums + (y - t.first + 2 * r) * stride, *behind = ahead - (2 * r + 1) * stride;
      add_rows(ahead, y > t.first ? behind : nullptr, plane, in.n.w, r, length, t.line);
      const std::int64_t row = (std::int64_t(z) * in.n.h + y) * in.n.w;
      total += double(correlate_row(in, t.line, length, map ? map + row : nullptr));
    }
    add_plane(in, z - r, -1, top, bottom, stride, t.sums);
  }
  return total;
}

}  // namespace

double local_ncc(Queue& queue, const float* fixed, const float* moving, Extent n, int radius, float* map) {
  const Images in{fixed, moving, n, statistics(queue, fixed, voxels(n)), statistics(queue, moving, voxels(n)), radius};
  if (!(in.sf.variance > 0) || !(in.sg.variance > 0)) {
    if (map)
      for (std::int64_t i = 0; i < voxels(n); ++i) map[i] = 0;
    return 0;
  }
  const std::int64_t stride = (n.w + lanes - 1) / lanes * lanes, length = stride + 2 * radius + lanes;
  const std::int64_t sums = products * (tile_rows + 2 * radius) * stride, size = sums + products * length;
  const int tiles = (n.h + tile_rows - 1) / tile_rows;
  Scratch<float> memory(queue, tiles * size);
  Scratch<double> totals(queue, tiles);
  parallel(queue, tiles, 1, [&](std::int64_t i, std::int64_t) {
    const int first = int(i) * tile_rows, last = first + tile_rows < n.h ? first + tile_rows : n.h;
    totals[i] = correlate_tile(in, {first, last, memory + i * size, memory + i * size + sums}, stride, map);
  });
  double total = 0;
  for (int i = 0; i < tiles; ++i) total += totals[i];
  return total / double(voxels(n));
}

}  // namespace mmreg::MMREG_TARGET
