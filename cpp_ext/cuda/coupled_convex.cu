// The coupled step of the dense search: selects the displacement of least cost plus penalty in each cell. A warp reads
// the costs of a cell contiguously; its threads then compare their best displacements.
#include <climits>

#include "core/displacements.h"
#include "cuda/lane.h"
#include "cuda/odometer.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kBlockCells = kBlockThreads / kWarpThreads;
constexpr int kCentreOrder = -1, kNone = INT_MAX;

struct Best {
  float value;
  int order;  // tie-break: the centre, then the first
};

MMREG_DEVICE Best better(const Best& a, const Best& b) {
  return b.value < a.value || (b.value == a.value && b.order < a.order) ? b : a;
}

template <class Cost>
struct Choice {
  const Cost* cost;
  const float* u;
  std::int64_t cells;
  Window window;
  int count;
  float weight;
  float* out;
};

// Returns the best of the displacements lane, lane + 32, ... of a cell.
template <class Cost>
MMREG_DEVICE Best best_of(const Choice<Cost>& c, std::int64_t cell, int lane) {
  const Cost* const cost = c.cost + cell * c.count;
  float slope[3];
  for (int a = 0; a < 3; ++a) slope[a] = penalty_slope(c.weight, c.u[a * c.cells + cell]);
  Best best{INFINITY, kNone};
  Odometer at = odometer(lane, c.window.side(1), c.window.side(2));
  for (int k = lane; k < c.count; k += kWarpThreads, at.next()) {
    const Move m{at.z - c.window.r[0], at.y - c.window.r[1], at.x - c.window.r[2]};
    const float total =
        coupled_cost(load(cost + k), penalty_square(c.weight, m), float(m.z), float(m.y), float(m.x), slope);
    best = better(best, {total, k == c.count / 2 ? kCentreOrder : k});
  }
  return best;
}

template <class Cost>
MMREG_DEVICE void write(const Choice<Cost>& c, std::int64_t cell, const Best& best) {
  const Move m = c.window.move(best.order == kCentreOrder || best.order == kNone ? c.count / 2 : best.order);
  c.out[cell] = float(m.z);
  c.out[cell + c.cells] = float(m.y);
  c.out[cell + 2 * c.cells] = float(m.x);
}

template <class Cost>
void coupled(Queue& queue, const Cost* cost, const float* u, Extent n, const int radius[3], float weight, float* out) {
  const Window window{{radius[0], radius[1], radius[2]}};
  const Choice<Cost> c{cost, u, voxels(n), window, window.count(), weight, out};
  const std::int64_t blocks = (c.cells + kBlockCells - 1) / kBlockCells;
  for_blocks(queue, blocks, int(sizeof(Best)) * kBlockThreads, [=] MMREG_DEVICE(const Block& block) {
    Best* const best = reinterpret_cast<Best*>(block.memory);
    const std::int64_t first = std::int64_t(block.index) * kBlockCells;
    block.threads([&] MMREG_DEVICE(int t) {
      const std::int64_t cell = first + t / kWarpThreads;
      best[t] = cell < c.cells ? best_of(c, cell, t % kWarpThreads) : Best{INFINITY, kNone};
    });
    for (int half = kWarpThreads / 2; half > 0; half /= 2)
      block.threads([=] MMREG_DEVICE(int t) {
        if (t % kWarpThreads < half) best[t] = better(best[t], best[t + half]);
      });
    block.threads([&] MMREG_DEVICE(int t) {
      if (t < kBlockCells && first + t < c.cells) write(c, first + t, best[t * kWarpThreads]);
    });
  });
}

}  // namespace

void coupled_convex(Queue& queue, const float* cost, const float* u, Extent n, const int radius[3], float weight,
                    float* out) {
  coupled(queue, cost, u, n, radius, weight, out);
}
void coupled_convex_half(Queue& queue, const Half* cost, const float* u, Extent n, const int radius[3], float weight,
                         float* out) {
  coupled(queue, cost, u, n, radius, weight, out);
}

}  // namespace mmreg::MMREG_TARGET
