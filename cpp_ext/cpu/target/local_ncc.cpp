// Mean over all windows of the squared local cross-correlation (Avants et al., 2008). Running sums of five products
// along z and y, then sums along x; only one tile of sums is stored.
#include "core/correlation.h"
#include "cpu/target/border.h"
#include "cpu/target/operations.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kProducts = kCorrelatedProducts;
constexpr int kTileRows = 32;

Statistics statistics(Queue& queue, const float* image, std::int64_t count) {
  constexpr std::int64_t grain = 1 << 16;
  const std::int64_t pieces = (count + grain - 1) / grain;
  Scratch<double> sums(queue, 2 * pieces);
  const float origin = image[0];
  parallel(queue, count, grain, [&](std::int64_t begin, std::int64_t end) {
    double total[2] = {0, 0};
    for (std::int64_t i = begin; i < end; i += 1024) {
      Floats a{}, b{};
      for (std::int64_t j = i, last = i + 1024 < end ? i + 1024 : end; j < last; j += kLanes) {
        const int n = last - j < kLanes ? int(last - j) : kLanes;
        const Floats v = load(image + j, n) - (lane_numbers() < splat(n) ? splat(origin) : Floats{});
        a += v;
        b += v * v;
      }
      total[0] += double(sum(a));
      total[1] += double(sum(b));
    }
    sums[2 * (begin / grain)] = total[0];
    sums[2 * (begin / grain) + 1] = total[1];
  });
  Moments all{};
  for (std::int64_t i = 0; i < pieces; ++i) {
    all.sum += sums[2 * i];
    all.square += sums[2 * i + 1];
  }
  return statistics_of(all, origin, double(count));
}

struct Images {
  const float *f, *g;
  Extent n;
  Statistics sf, sg;
  int radius;
};

// Rows [first, last) of a tile and the border of its windows, clamped to the image; one plane of sums per product.
struct Span {
  int first, last;
  std::int64_t stride;

  std::int64_t plane() const { return (last - first) * stride; }
};

struct Values {  // voxels of both images minus the image means
  Floats f, g;
};

MMREG_INLINE Values values(const Images& in, std::int64_t at, int n) {
  return {load(in.f + at, n) - in.sf.mean, load(in.g + at, n) - in.sg.mean};
}

// Adds the products of plane `ahead` to the sums and, if Running, subtracts those of plane `behind`.
template <bool Running>
void add_plane(const Images& in, int ahead, int behind, const Span& span, float* sums) {
  const std::int64_t plane = span.plane();
  for (int y = span.first; y < span.last; ++y) {
    const int row = inside(y, in.n.h);
    const std::int64_t to = (std::int64_t(inside(ahead, in.n.d)) * in.n.h + row) * in.n.w;
    const std::int64_t from = (std::int64_t(inside(behind, in.n.d)) * in.n.h + row) * in.n.w;
    float* s = sums + (y - span.first) * span.stride;
    for (int x = 0; x < in.n.w; x += kLanes, s += kLanes) {
      const int n = in.n.w - x < kLanes ? in.n.w - x : kLanes;
      const Values a = values(in, to + x, n), b = Running ? values(in, from + x, n) : Values{};
      store(s, load(s) + (a.f - b.f));
      store(s + plane, load(s + plane) + (a.g - b.g));
      store(s + 2 * plane, load(s + 2 * plane) + (a.f * a.f - b.f * b.f));
      store(s + 3 * plane, load(s + 3 * plane) + (a.g * a.g - b.g * b.g));
      store(s + 4 * plane, load(s + 4 * plane) + (a.f * a.g - b.f * b.g));
    }
  }
}

// line[p] += sums[p](ahead) - sums[p](behind), extended by its border values. `behind` may be nullptr.
void add_rows(const float* ahead, const float* behind, std::int64_t plane, int w, int r, std::int64_t length,
              float* line) {
  for (int p = 0; p < kProducts; ++p, ahead += plane, behind += behind ? plane : 0) {
    float* l = line + p * length + r;
    for (int x = 0; x < w; x += kLanes)
      store(l + x, load(l + x) + load(ahead + x) - (behind ? load(behind + x) : Floats{}));
    for (int x = 0; x < r; ++x) l[x - r] = l[0];
    for (int x = 0; x < r; ++x) l[w + x] = l[w - 1];
  }
}

// triples[p][x] = line[p][x] + line[p][x + 1] + line[p][x + 2]
void sum_triples(const float* line, std::int64_t length, int count, float* triples) {
  for (int p = 0; p < kProducts; ++p, line += length, triples += length)
    for (int x = 0; x < count; x += kLanes)
      store(triples + x, load(line + x) + load(line + x + 1) + load(line + x + 2));
}

// Computes the squared correlation of one row of windows from every `step`-th of their column sums. Returns the sum.
float correlate_row(const Images& in, const float* line, std::int64_t length, int step, float* map) {
  const int w = in.n.w, side = 2 * in.radius + 1;
  const float scale = 1.0f / (float(side) * float(side) * float(side));
  Floats total{};
  for (int x = 0; x < w; x += kLanes) {
    const int n = w - x < kLanes ? w - x : kLanes;
    Floats m[kProducts];
    for (int p = 0; p < kProducts; ++p) {
      const float* l = line + p * length + x;
      m[p] = load(l);
      for (int k = step; k < side; k += step) m[p] += load(l + k);
      m[p] *= scale;
    }
    Floats c = squared_correlation(m, kRaisedBy * in.sf.variance, kRaisedBy * in.sg.variance);
    c = lane_numbers() < splat(n) ? c : Floats{};
    total += c;
    if (map) store(map + x, c, n);
  }
  return sum(total);
}

struct Tile {  // rows [first, last) of the output, with scratch memory for their sums and for two lines of sums
  int first, last;
  float *sums, *line;
};

double correlate_plane(const Images& in, const Tile& t, const Span& span, std::int64_t length, float* map) {
  const int r = in.radius, w = in.n.w;
  const bool thirds = (2 * r + 1) % 3 == 0;
  float* const triples = t.line + kProducts * length;
  double total = 0;
  for (std::int64_t i = 0; i < kProducts * length; ++i) t.line[i] = 0;
  for (int k = 0; k < 2 * r; ++k) add_rows(t.sums + k * span.stride, nullptr, span.plane(), w, r, length, t.line);
  for (int y = t.first; y < t.last; ++y) {
    const float *ahead = t.sums + (y - t.first + 2 * r) * span.stride, *behind = ahead - (2 * r + 1) * span.stride;
    add_rows(ahead, y > t.first ? behind : nullptr, span.plane(), w, r, length, t.line);
    if (thirds) sum_triples(t.line, length, w + 2 * r - 2, triples);
    total += double(correlate_row(in, thirds ? triples : t.line, length, thirds ? 3 : 1,
                                  map ? map + std::int64_t(y) * w : nullptr));
  }
  return total;
}

double correlate_tile(const Images& in, const Tile& t, std::int64_t stride, std::int64_t length, float* map) {
  const int r = in.radius;
  const Span span{t.first - r, t.last + r, stride};
  const std::int64_t plane = std::int64_t(in.n.h) * in.n.w;
  for (std::int64_t i = 0; i < kProducts * span.plane(); ++i) t.sums[i] = 0;
  for (int z = -r; z <= r; ++z) add_plane<false>(in, z, z, span, t.sums);
  double total = correlate_plane(in, t, span, length, map);
  for (int z = 1; z < in.n.d; ++z) {
    add_plane<true>(in, z + r, z - r - 1, span, t.sums);
    total += correlate_plane(in, t, span, length, map ? map + z * plane : nullptr);
  }
  return total;
}

}  // namespace

double local_ncc(Queue& queue, const float* fixed, const float* moving, Extent n, int radius, float* map) {
  const Images in{fixed, moving, n, statistics(queue, fixed, voxels(n)), statistics(queue, moving, voxels(n)), radius};
  if (in.sf.variance == 0 || in.sg.variance == 0) {
    if (map)
      for (std::int64_t i = 0; i < voxels(n); ++i) map[i] = 0;
    return 0;
  }
  const std::int64_t stride = (n.w + kLanes - 1) / kLanes * kLanes, length = stride + 2 * radius + 2 * kLanes;
  const std::int64_t sums = kProducts * (kTileRows + 2 * radius) * stride, size = sums + 2 * kProducts * length;
  const int tiles = (n.h + kTileRows - 1) / kTileRows;
  Scratch<float> memory(queue, workers(queue) * size);
  Scratch<double> totals(queue, tiles);
  parallel_pieces(queue, tiles, [&](std::int64_t i, int worker) {
    const int first = int(i) * kTileRows, last = first + kTileRows < n.h ? first + kTileRows : n.h;
    float* const m = memory + worker * size;
    totals[i] = correlate_tile(in, {first, last, m, m + sums}, stride, length, map);
  });
  double total = 0;
  for (int i = 0; i < tiles; ++i) total += totals[i];
  return total / double(voxels(n));
}

}  // namespace mmreg::MMREG_TARGET
