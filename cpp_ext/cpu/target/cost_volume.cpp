// Dense displacement search on a coarse grid: the cost of each displacement in each cell, its smoothing over the
// cells, and the cheapest displacement near a given one (Heinrich, Papiez, Schnabel, Handels, WBIR 2014).
#include "cpu/target/border.h"
#include "cpu/target/half_rows.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

inline void load_row(const float* in, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = in[i];
}
inline void load_row(const Half* in, std::int64_t count, float* out) { widen_row(in, count, out); }
inline void store_row(const float* in, std::int64_t count, float* out) { load_row(in, count, out); }
inline void store_row(const float* in, std::int64_t count, Half* out) { narrow_row(in, count, out); }

struct Window {
  int r[3];

  int side(int axis) const { return 2 * r[axis] + 1; }
  int count() const { return side(0) * side(1) * side(2); }
};

float difference(const Half* a, const Half* b, int used) {
  float line[2][16], sum = 0;
  for (int c = 0; c < used; c += 16) {
    widen_row(a + c, 16, line[0]);
    widen_row(b + c, 16, line[1]);
    for (int i = 0; i < 16 && c + i < used; ++i) sum += (line[0][i] - line[1][i]) * (line[0][i] - line[1][i]);
  }
  return sum;
}

template <class Cost>
void costs(Queue& queue, const Half* fixed, const Half* moving, int channels, int used, Extent n, const int radius[3],
           Cost* cost) {
  const Window window{{radius[0], radius[1], radius[2]}};
  const int count = window.count();
  Scratch<float> lines(queue, voxels(n) * count);
  parallel(queue, std::int64_t(n.d) * n.h, 1, [&](std::int64_t r, std::int64_t) {
    for (int x = 0; x < n.w; ++x) {
      const std::int64_t cell = r * n.w + x;
      float* line = lines + cell * count;
      for (int k = 0; k < count; ++k) {
        const int z = inside(int(r / n.h) + k / (window.side(1) * window.side(2)) - radius[0], n.d);
        const int y = inside(int(r % n.h) + k / window.side(2) % window.side(1) - radius[1], n.h);
        const int i = inside(x + k % window.side(2) - radius[2], n.w);
        const std::int64_t other = (std::int64_t(z) * n.h + y) * n.w + i;
        line[k] = difference(fixed + cell * channels, moving + other * channels, used) / float(used);
      }
      store_row(line, count, cost + cell * count);
    }
  });
}

template <class Cost>
void smoothed(Queue& queue, const Cost* cost, Extent n, int count, int radius, Cost* out) {
  const std::int64_t cells = voxels(n);
  Scratch<float> a(queue, cells * count), b(queue, cells * count);
  load_row(cost, cells * count, a);
  const int length[3] = {n.w, n.h, n.d};
  std::int64_t width = count;
  float *from = a, *to = b;
  for (int axis = 0; axis < 3; ++axis) {
    const int m = length[axis];
    for (std::int64_t i = 0; i < cells * count / width; ++i)
      for (std::int64_t x = 0; x < width; ++x) {
        float sum = 0;
        for (int k = -radius; k <= radius; ++k) sum += from[(i / m * m + inside(int(i % m) + k, m)) * width + x];
        to[i * width + x] = sum / float(2 * radius + 1);
      }
    float* const other = from;
    from = to, to = other;
    width *= m;
  }
  store_row(from, cells * count, out);
}

// Index of the least line[k]; the centre wins a tie, then the lowest index.
int cheapest(const float* line, int count) {
  int best = count / 2;
  for (int k = 0; k < count; ++k) best = line[k] < line[best] ? k : best;
  return best;
}

template <class Cost>
void coupled(Queue& queue, const Cost* cost, const float* u, Extent n, const int radius[3], float weight, float* out) {
  const Window window{{radius[0], radius[1], radius[2]}};
  const int count = window.count();
  const std::int64_t cells = voxels(n);
  Scratch<float> lines(queue, (cells + 63) / 64 * count);
  parallel(queue, cells, 64, [&](std::int64_t begin, std::int64_t end) {
    float* line = lines + begin / 64 * count;
    for (std::int64_t cell = begin; cell < end; ++cell) {
      load_row(cost + cell * count, count, line);
      for (int k = 0; k < count; ++k) {
        const float z = float(k / (window.side(1) * window.side(2)) - radius[0]) - u[cell];
        const float y = float(k / window.side(2) % window.side(1) - radius[1]) - u[cells + cell];
        const float x = float(k % window.side(2) - radius[2]) - u[2 * cells + cell];
        line[k] += weight * (z * z + y * y + x * x);
      }
      const int k = cheapest(line, count);
      out[cell] = float(k / (window.side(1) * window.side(2)) - radius[0]);
      out[cells + cell] = float(k / window.side(2) % window.side(1) - radius[1]);
      out[2 * cells + cell] = float(k % window.side(2) - radius[2]);
    }
  });
}

}  // namespace

void cost_volume(Queue& queue, const Half* fixed, const Half* moving, int channels, int used, Extent n,
                 const int radius[3], float* cost) {
  costs(queue, fixed, moving, channels, used, n, radius, cost);
}
void cost_volume_half(Queue& queue, const Half* fixed, const Half* moving, int channels, int used, Extent n,
                      const int radius[3], Half* cost) {
  costs(queue, fixed, moving, channels, used, n, radius, cost);
}

void smooth_cost(Queue& queue, const float* cost, Extent n, int count, int radius, float* out) {
  smoothed(queue, cost, n, count, radius, out);
}
void smooth_cost_half(Queue& queue, const Half* cost, Extent n, int count, int radius, Half* out) {
  smoothed(queue, cost, n, count, radius, out);
}

void coupled_convex(Queue& queue, const float* cost, const float* u, Extent n, const int radius[3], float weight,
                    float* out) {
  coupled(queue, cost, u, n, radius, weight, out);
}
void coupled_convex_half(Queue& queue, const Half* cost, const float* u, Extent n, const int radius[3], float weight,
                         float* out) {
  coupled(queue, cost, u, n, radius, weight, out);
}

}  // namespace mmreg::MMREG_TARGET
