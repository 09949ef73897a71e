// Box mean of a cost volume over its cells. A piece of work is a range of displacements in all cells: its planes are
// kept in a ring buffer that fits into the cache, and each row is summed along z, x and y. Pieces share no memory, so
// that the operation can be in place.
#include "cpu/target/border.h"
#include "cpu/target/cells.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kMaxSide = 33;

template <class Cost>
struct Smoothing {
  const Cost* in;
  Cost* out;
  Extent n;
  int count, radius;  // displacements per cell; radius of the box
  int first, width;   // first displacement of this piece and their number
  int pitch;          // width rounded up to whole vectors, in scratch memory

  int side() const { return 2 * radius + 1; }
  std::int64_t row() const { return std::int64_t(n.w) * pitch; }
  std::int64_t plane() const { return n.h * row(); }
  std::int64_t at(int z, int y, int x) const { return ((std::int64_t(z) * n.h + y) * n.w + x) * count + first; }
  int some(int i) const { return width - i < kLanes ? width - i : kLanes; }
};

// out[i] = sum over k of in[k][i] for `inputs` rows.
template <class Cost>
MMREG_INLINE void add(const Cost* const* in, int inputs, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; i += kLanes) {
    Floats sum = load(in[0] + i);
    for (int k = 1; k < inputs; ++k) sum += load(in[k] + i);
    store(out + i, sum);
  }
}

// Copies plane z of this piece into the ring: the input may be overwritten before its last use.
template <class Cost>
void fetch(const Smoothing<Cost>& s, int z, Cost* ring) {
  Cost* to = ring + z % s.side() * s.plane();
  for (int y = 0; y < s.n.h; ++y)
    for (int x = 0; x < s.n.w; ++x, to += s.pitch)
      std::memcpy(to, s.in + s.at(z, y, x), std::size_t(s.width) * sizeof(Cost));
}

// Computes the sums along z and x of row y.
template <class Cost>
void sum_row(const Smoothing<Cost>& s, int z, int y, const Cost* ring, float* line, float* out) {
  const Cost* planes[kMaxSide];
  for (int k = 0; k < s.side(); ++k)
    planes[k] = ring + inside(z + k - s.radius, s.n.d) % s.side() * s.plane() + y * s.row();
  add(planes, s.side(), s.row(), line);
  const float* cells[kMaxSide];
  for (int x = 0; x < s.n.w; ++x) {
    for (int k = 0; k < s.side(); ++k) cells[k] = line + inside(x + k - s.radius, s.n.w) * s.pitch;
    add(cells, s.side(), s.pitch, out + x * s.pitch);
  }
}

template <class Cost>
void write_row(const Smoothing<Cost>& s, int z, int y, const float* sums) {
  const float scale = 1.0f / (float(s.side()) * float(s.side()) * float(s.side()));
  const float* rows[kMaxSide];
  for (int k = 0; k < s.side(); ++k) rows[k] = sums + inside(y + k - s.radius, s.n.h) % s.side() * s.row();
  for (int x = 0; x < s.n.w; ++x)
    for (int i = 0; i < s.width; i += kLanes) {
      Floats sum = load(rows[0] + x * s.pitch + i);
      for (int k = 1; k < s.side(); ++k) sum += load(rows[k] + x * s.pitch + i);
      store_some(s.out + s.at(z, y, x) + i, sum * scale, s.some(i));
    }
}

template <class Cost>
void smooth_piece(const Smoothing<Cost>& s, Cost* ring, float* line, float* sums) {
  int planes = 0;  // number in the ring
  for (int z = 0; z < s.n.d; ++z) {
    for (; planes < s.n.d && planes <= z + s.radius; ++planes) fetch(s, planes, ring);
    int rows = 0;  // number in the sums
    for (int y = 0; y < s.n.h; ++y) {
      for (; rows < s.n.h && rows <= y + s.radius; ++rows)
        sum_row(s, z, rows, ring, line, sums + rows % s.side() * s.row());
      write_row(s, z, y, sums);
    }
  }
}

// Returns the number of displacements per piece for which the ring fits into a typical second-level cache.
int width_of(Extent n, int count, int radius, int bytes) {
  const std::int64_t vector = std::int64_t(2 * radius + 1) * n.h * n.w * kLanes * bytes;
  const std::int64_t fitting = (std::int64_t(1) << 20) / vector, all = (count + kLanes - 1) / kLanes;
  const std::int64_t most = fitting < 1 ? 1 : fitting < 128 / kLanes ? fitting : 128 / kLanes;
  return int(most < all ? most : all) * kLanes;
}

template <class Cost>
void smoothed(Queue& queue, const Cost* cost, Extent n, int count, int radius, Cost* out) {
  const int width = width_of(n, count, radius, int(sizeof(Cost)));
  const Smoothing<Cost> whole{cost, out, n, count, radius, 0, width, width};
  const std::int64_t ring = whole.side() * whole.plane(), sums = (whole.side() + 1) * whole.row();
  Scratch<Cost> rings(queue, workers(queue) * ring);
  Scratch<float> lines(queue, workers(queue) * sums);
  parallel_pieces(queue, (count + width - 1) / width, [&](std::int64_t i, int worker) {
    Smoothing<Cost> s = whole;
    s.first = int(i) * width;
    s.width = s.first + width < count ? width : count - s.first;
    float* const line = lines + worker * sums;
    smooth_piece(s, rings + worker * ring, line, line + whole.row());
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
