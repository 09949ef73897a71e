// The coupled step of the dense search: selects the displacement of least cost plus penalty in each cell.
#include "cpu/target/cells.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct Penalty {  // of displacement k: square[k] + slope . (z[k], y[k], x[k]), up to a constant per cell
  const float *square, *z, *y, *x;
  float slope[3];
};

template <class Cost>
MMREG_INLINE Floats total(const Cost* cost, const Penalty& p, int k) {
  return coupled_cost(load(cost + k), load(p.square + k), load(p.z + k), load(p.y + k), load(p.x + k), p.slope);
}

struct Best {
  Floats value;
  Ints index;
};

// Returns the lane of least cost; of equal ones the centre, then the lowest index.
int chosen(const Best& best, int centre) {
  const float least = smallest(best.value);
  int index = 1 << 30;
  for (int i = 0; i < kLanes; ++i)
    if (best.value[i] == least) index = best.index[i] == centre ? -1 : best.index[i] < index ? best.index[i] : index;
  return index < 0 || index == 1 << 30 ? centre : index;
}

// `count` is at least kLanes; the last vector overlaps the previous one.
template <class Cost>
int cheapest(const Cost* cost, int count, const Penalty& p) {
  const int centre = count / 2, last = count - kLanes, from = centre < last ? centre : last;
  Best best{min(splat(total(cost, p, from)[centre - from]), splat(__builtin_inff())), splat(centre)};  // NaN never wins
  for (int k = 0;; k = k + kLanes < last ? k + kLanes : last) {
    const Floats value = total(cost, p, k);
    const Ints less = value < best.value;
    best.value = less ? value : best.value;
    best.index = less ? lane_numbers() + k : best.index;
    if (k == last) return chosen(best, centre);
  }
}

// Fills the four tables of `pitch` elements. Elements after the last displacement are never selected.
void tabulate(const Window& window, float weight, int pitch, float* table) {
  for (int k = 0; k < pitch; ++k) {
    const Move m = window.move(k);
    const bool exists = k < window.count();
    table[k] = exists ? penalty_square(weight, m) : __builtin_inff();
    table[pitch + k] = exists ? float(m.z) : 0;
    table[2 * pitch + k] = exists ? float(m.y) : 0;
    table[3 * pitch + k] = exists ? float(m.x) : 0;
  }
}

template <class Cost>
int cheapest_of_few(const Cost* cost, int count, const Penalty& p) {
  Cost all[kLanes] = {};
  std::memcpy(all, cost, std::size_t(count) * sizeof(Cost));
  const Floats value = total(all, p, 0);
  int best = count / 2;
  float least = value[best] == value[best] ? value[best] : __builtin_inff();
  for (int k = 0; k < count; ++k)
    if (value[k] < least) {
      best = k;
      least = value[k];
    }
  return best;
}

template <class Cost>
void coupled(Queue& queue, const Cost* cost, const float* u, Extent n, const int radius[3], float weight, float* out) {
  const Window window{{radius[0], radius[1], radius[2]}};
  const int count = window.count(), pitch = count < kLanes ? kLanes : count;
  const std::int64_t cells = voxels(n);
  Scratch<float> table(queue, 4 * pitch);
  tabulate(window, weight, pitch, table);
  parallel(queue, cells, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t cell = begin; cell < end; ++cell) {
      Penalty p{table, table + pitch, table + 2 * pitch, table + 3 * pitch, {}};
      for (int a = 0; a < 3; ++a) p.slope[a] = penalty_slope(weight, u[a * cells + cell]);
      const Cost* costs = cost + cell * count;
      const int k = count < kLanes ? cheapest_of_few(costs, count, p) : cheapest(costs, count, p);
      for (int a = 0; a < 3; ++a) out[a * cells + cell] = table[(a + 1) * pitch + k];
    }
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
