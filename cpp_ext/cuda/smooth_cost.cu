// Box mean of a cost volume over its cells: sums along z, y and x, one thread per line and displacement. A piece of
// work is a range of displacements in all cells, whose intermediate sums fit into the second-level cache. Pieces share
// no memory, so that the operation can be in place.
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/queue.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kMostRadius = 16;
constexpr int kTurn = 4;  // outputs per turn, and so loads in flight
constexpr std::int64_t kPieceBytes = std::int64_t(24) << 20;

struct Lines {  // lines of cells along an axis: line i starts at cell (i / inner) * outer + i % inner * step
  std::int64_t count, inner, outer, step;
  std::int64_t stride;  // from cell to cell
  int length;
};

template <class Cost>
struct Table {  // cells of `pitch` displacements
  Cost* data;
  std::int64_t pitch;
};

// Sums 2 radius + 1 neighbours of a line, times the scale; also in place. Radius 0: only known at run time.
template <int Radius, class In, class Out>
MMREG_DEVICE void sum_line(const In* in, std::int64_t in_step, Out* out, std::int64_t out_step, int length, int radius,
                           float scale) {
  const int r = Radius ? Radius : radius;
  float v[2 * (Radius ? Radius : kMostRadius) + kTurn];  // the inputs of one turn
  float last = load(in);
  for (int k = 0; k < r; ++k) v[k] = last;
  for (int k = 0; k < r; ++k) v[r + k] = last = k < length ? load(in + k * in_step) : last;
  for (int i = 0; i < length; i += kTurn) {
    for (int k = 0; k < kTurn; ++k) v[2 * r + k] = last = i + r + k < length ? load(in + (i + r + k) * in_step) : last;
    for (int k = 0; k < kTurn; ++k) {
      float sum = v[k];
      for (int j = 1; j <= 2 * r; ++j) sum += v[k + j];
      if (i + k < length) store(out + (i + k) * out_step, sum * scale);
    }
    for (int k = 0; k < 2 * r; ++k) v[k] = v[k + kTurn];
  }
}

template <int Radius, class In, class Out>
void sum_lines(Queue& queue, const Table<const In>& in, const Table<Out>& out, int width, const Lines& lines,
               int radius, float scale) {
  for_each(queue, lines.count * width, [=] MMREG_DEVICE(std::int64_t i) {
    const std::int64_t line = i / width, k = i - line * width, major = line / lines.inner;
    const std::int64_t cell = major * lines.outer + (line - major * lines.inner) * lines.step;
    sum_line<Radius>(in.data + cell * in.pitch + k, lines.stride * in.pitch, out.data + cell * out.pitch + k,
                     lines.stride * out.pitch, lines.length, radius, scale);
  });
}

// Returns the number of displacements per piece, a multiple of 32 unless it is all of them.
int width_of(std::int64_t cells, int count) {
  const std::int64_t fitting = kPieceBytes / std::int64_t(sizeof(float)) / cells / 32 * 32,
                     most = fitting < 32 ? 32 : fitting;
  return count < most ? count : int(most);
}

template <int Radius, class Cost>
void smooth_piece(Queue& queue, const Table<const Cost>& in, const Table<Cost>& out, float* sums, Extent n, int width,
                  int radius) {
  const std::int64_t plane = std::int64_t(n.h) * n.w, rows = std::int64_t(n.d) * n.h;
  const float side = float(2 * radius + 1);
  const Table<float> between{sums, width};
  const Table<const float> read{sums, width};
  sum_lines<Radius>(queue, in, between, width, {plane, plane, 0, 1, plane, n.d}, radius, 1.0f);
  sum_lines<Radius>(queue, read, between, width, {std::int64_t(n.d) * n.w, n.w, plane, 1, n.w, n.h}, radius, 1.0f);
  sum_lines<Radius>(queue, read, out, width, {rows, rows, 0, n.w, 1, n.w}, radius, 1.0f / (side * side * side));
}

template <class Cost>
void smoothed(Queue& queue, const Cost* cost, Extent n, int count, int radius, Cost* out) {
  const int most = width_of(voxels(n), count);
  const Scratch<float> sums(queue, voxels(n) * most);
  for (int first = 0; first < count; first += most) {
    const int width = count - first < most ? count - first : most;
    const Table<const Cost> from{cost + first, count};
    const Table<Cost> to{out + first, count};
    if (radius == 1)
      smooth_piece<1>(queue, from, to, sums.data(), n, width, radius);
    else if (radius == 2)
      smooth_piece<2>(queue, from, to, sums.data(), n, width, radius);
    else
      smooth_piece<0>(queue, from, to, sums.data(), n, width, radius);
  }
}

}  // namespace

void smooth_cost(Queue& queue, const float* cost, Extent n, int count, int radius, float* out) {
  smoothed(queue, cost, n, count, radius, out);
}
void smooth_cost_half(Queue& queue, const Half* cost, Extent n, int count, int radius, Half* out) {
  smoothed(queue, cost, n, count, radius, out);
}

}  // namespace mmreg::MMREG_TARGET
