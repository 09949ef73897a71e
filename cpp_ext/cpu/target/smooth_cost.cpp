// Box mean of a cost volume over its cells. A piece of work is a range of displacements in all cells: it is summed
// along x and y into a ring of planes that fits into the cache, and along z out of it. Pieces share no memory, so the
// result can go where the input is.
#include "cpu/target/border.h"
#include "cpu/target/cells.h"

namespace mmreg::MMREG_TARGET {
namespace {

template <class Cost>
struct Smoothing {
  const Cost* in;
  Cost* out;
  Extent n;
  int count, radius;   // displacements of a cell; of the box
  int first, width;    // displacements of this piece, a multiple of `lanes` unless they are the last ones
  std::int64_t pitch;  // floats of a cell in scratch memory

  std::int64_t row() const { return n.w * pitch; }
  std::int64_t plane() const { return n.h * row(); }
  // planes of sums along x and y, a plane of sums along x, and a row
  std::int64_t size() const { return (2 * radius + 2) * plane() + row(); }
};

// out[i] = sum of in[k][i] over the 2 radius + 1 inputs.
void add(const float* const* in, int inputs, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; i += lanes) {
    Floats sum = load(in[0] + i);
    for (int k = 1; k < inputs; ++k) sum += load(in[k] + i);
    store(out + i, sum);
  }
}

constexpr int max_side = 33;

template <class Cost>
void sum_along_x(const Smoothing<Cost>& s, std::int64_t row, float* line, float* out) {
  for (int x = 0; x < s.n.w; ++x)
    for (int i = 0; i < s.width; i += lanes) {
      const int some = s.width - i < lanes ? s.width - i : lanes;
      store(line + x * s.pitch + i, load_some(s.in + (row * s.n.w + x) * s.count + s.first + i, some));
    }
  const float* inputs[max_side];
  for (int x = 0; x < s.n.w; ++x) {
    for (int k = -s.radius; k <= s.radius; ++k) inputs[k + s.radius] = line + inside(x + k, s.n.w) * s.pitch;
    add(inputs, 2 * s.radius + 1, s.pitch, out + x * s.pitch);
  }
}

template <class Cost>
void sum_plane(const Smoothing<Cost>& s, int z, float* memory) {
  float* const along_x = memory + (2 * s.radius + 1) * s.plane();
  for (int y = 0; y < s.n.h; ++y)
    sum_along_x(s, std::int64_t(z) * s.n.h + y, along_x + s.plane(), along_x + y * s.row());
  const float* inputs[max_side];
  for (int y = 0; y < s.n.h; ++y) {
    for (int k = -s.radius; k <= s.radius; ++k) inputs[k + s.radius] = along_x + inside(y + k, s.n.h) * s.row();
    add(inputs, 2 * s.radius + 1, s.row(), memory + z % (2 * s.radius + 1) * s.plane() + y * s.row());
  }
}

template <class Cost>
void sum_along_z(const Smoothing<Cost>& s, int z, const float* memory) {
  const int side = 2 * s.radius + 1;
  const float scale = 1.0f / (float(side) * float(side) * float(side));
  const float* planes[max_side];
  for (int k = 0; k < side; ++k) planes[k] = memory + inside(z + k - s.radius, s.n.d) % side * s.plane();
  for (std::int64_t cell = 0; cell < std::int64_t(s.n.h) * s.n.w; ++cell)
    for (int i = 0; i < s.width; i += lanes) {
      Floats sum{};
      for (int k = 0; k < side; ++k) sum += load(planes[k] + cell * s.pitch + i);
      const int some = s.width - i < lanes ? s.width - i : lanes;
      store_some(s.out + (std::int64_t(z) * s.n.h * s.n.w + cell) * s.count + s.first + i, sum * scale, some);
    }
}

// Displacements of a piece: as many as keep the ring in half of a usual second-level cache.
int width_of(Extent n, int count, int radius) {
  const std::int64_t bytes = std::int64_t(2 * radius + 2) * n.h * n.w * lanes * std::int64_t(sizeof(float));
  const std::int64_t vectors = (std::int64_t(3) << 18) / bytes, all = (count + lanes - 1) / lanes;
  const std::int64_t most = 64 / lanes * 2;
  const std::int64_t fitting = vectors < 1 ? 1 : vectors > most ? most : vectors;
  return int(fitting < all ? fitting : all) * lanes;
}

template <class Cost>
void smoothed(Queue& queue, const Cost* cost, Extent n, int count, int radius, Cost* out) {
  const int width = width_of(n, count, radius);
  const std::int64_t size = Smoothing<Cost>{cost, out, n, count, radius, 0, width, width}.size();
  Scratch<float> memory(queue, workers(queue) * size);
  parallel_pieces(queue, (count + width - 1) / width, [&](std::int64_t i, int worker) {
    const int first = int(i) * width, last = first + width < count ? first + width : count;
    const Smoothing<Cost> s{cost, out, n, count, radius, first, last - first, width};
    float* const m = memory + worker * size;
    int ready = 0;  // planes in the ring
    for (int z = 0; z < n.d; ++z) {
      for (; ready < n.d && ready <= z + radius; ++ready) sum_plane(s, ready, m);
      sum_along_z(s, z, m);
    }
  });
}

}  // namespace

void smooth_cost(Queue& queue, const float* cost, Extent n, int count, int radius, float* out) {
  smoothed(queue, cost, n, count, radius, out);
}
void smooth_cost_half(Queue& queue, const Half* cost, Extent n, int count, int radius, Half* out) {
  smoothed(queue, cost, n, count, radius, out);
}

}  // namespace mmreg::MMREG_TARGET
