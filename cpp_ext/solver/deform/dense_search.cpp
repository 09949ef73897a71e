#include "solver/deform/dense_search.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

// Coupling weights per feature channel, weak to strong (convexAdam).
constexpr float kCoupling[] = {0.003f / 12, 0.01f / 12, 0.03f / 12, 0.1f / 12, 0.3f / 12, 1.0f / 12};
constexpr int kConsistencyRounds = 15;

struct Grid {
  Extent n;
  int radius[3];
  std::size_t displacements;
};

constexpr int kChannels = 16;  // of MIND-SSC, 4 of them unused

Buffer<Half> features(const Context& context, Image image, const SearchSettings& s, const Factor& factor,
                      const Grid& grid) {
  Buffer<Half> pooled(context, grid.n, kChannels), fine(context, image.n, kChannels);
  context.mind_half(image, s.patch_radius, s.dilation, fine.data());
  context.pool_features(fine, factor.f, pooled.data());
  return pooled;
}

Buffer<float> cheapest(const Context& context, FeatureImage fixed, const Half* moving, const Grid& grid,
                       const SearchSettings& s, Half* cost) {
  const int smooth[3] = {1, 1, 1}, count = int(grid.displacements);
  context.cost_volume_half(fixed, moving, kChannels - kExtraChannels, grid.radius, cost);
  for (int pass = 0; pass < s.passes; ++pass) context.smooth_cost_half(cost, grid.n, count, s.smoothing, cost);
  Buffer<float> u = constant(context, grid.n, 0, 3);
  context.coupled_convex_half(cost, u.data(), grid.n, grid.radius, 0, u.data());
  context.box(u, smooth, u.data());
  for (float weight : kCoupling) {
    context.coupled_convex_half(cost, u.data(), grid.n, grid.radius, weight, u.data());
    context.box(u, smooth, u.data());
  }
  return u;
}

double mean_length(const Buffer<float>& u) {
  const std::size_t cells = std::size_t(voxels(u.extent()));
  std::vector<float> host(u.size());
  u.download(host.data());
  double sum = 0;
  for (std::size_t i = 0; i < cells; ++i) sum += std::hypot(host[i], host[cells + i], host[2 * cells + i]);
  return sum / double(cells);
}

// Iteratively moves each map halfway towards the inverse of the other. Returns the initial mean inconsistency in cells.
double make_consistent(const Context& context, float* a, float* b, const Grid& grid) {
  const std::int64_t count = 3 * voxels(grid.n);
  Buffer<float> ab(context, grid.n, 3), ba(context, grid.n, 3);
  double start = 0;
  for (int round = 0; round < kConsistencyRounds; ++round) {
    context.compose(a, b, grid.n, ab.data());
    context.compose(b, a, grid.n, ba.data());
    if (round == 0) start = mean_length(ab);
    context.axpby(count, 1, a, -0.5f, ab.data(), a);
    context.axpby(count, 1, b, -0.5f, ba.data(), b);
  }
  return start;
}

}  // namespace

DenseSearchResult dense_search(const Context& context, const DeformInput& input, const SearchSettings& s) {
  const Factor factor = factor_of(s.factor, input);
  Grid grid{extent_of(input.n, factor), {}, 1};
  const int length[3] = {grid.n.d, grid.n.h, grid.n.w};
  double cell_mm[3];
  for (int a = 0; a < 3; ++a) cell_mm[a] = input.spacing_mm[a] * factor.f[a];
  for (int a = 0; a < 3; ++a) {  // the same distance in mm along every axis, at most a third of the axis
    const int radius = int(std::lround(s.radius * finest(cell_mm) / cell_mm[a]));
    grid.radius[a] = std::min(radius, (length[a] - 1) / 3);
    grid.displacements *= std::size_t(2 * grid.radius[a] + 1);
  }
  const Buffer<Half> f = features(context, {input.fixed, input.n}, s, factor, grid);
  const Buffer<Half> m = features(context, {input.moving, input.n}, s, factor, grid);
  Buffer<Half> cost(context, grid.n, int(grid.displacements));
  Buffer<float> forward = cheapest(context, f, m.data(), grid, s, cost.data());
  const Buffer<float> backward = cheapest(context, m, f.data(), grid, s, cost.data());
  const double inconsistency = make_consistent(context, forward.data(), backward.data(), grid);
  return {std::move(forward), factor, inconsistency};
}

}  // namespace mmreg
