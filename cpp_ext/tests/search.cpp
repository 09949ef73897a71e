// The dense search: cost volume, smoothing of costs, and the coupled convex step.
#include "tests/each.h"

namespace mmreg::test {
namespace {

constexpr int kRadius[3] = {1, 2, 1};
constexpr int kDisplacements = 3 * 5 * 3, kCentre = kDisplacements / 2;

}  // namespace

TEST(search, features_cost_nothing_against_themselves) {
  hold(
      [](const Context& context, Extent n) {
        const Halves fixed = narrowed(uniform(16 * voxels(n), 0, 1)),
                     moving = narrowed(uniform(16 * voxels(n), 0, 1, 2));
        Values cost(size(kDisplacements * voxels(n)));
        context.cost_volume(view(fixed, n, 16), fixed.data(), 12, kRadius, cost.data());
        for (std::size_t i = kCentre; i < cost.size(); i += kDisplacements) CHECK(cost[i] == 0.f);
        context.cost_volume(view(fixed, n, 16), moving.data(), 12, kRadius, cost.data());
        for (float value : cost) CHECK(value >= 0 && value <= 1);
        return cost;
      },
      1e-5);
}

TEST(search, half_costs_are_the_rounded_costs) {
  hold(
      [](const Context& context, Extent n) {
        const Halves fixed = narrowed(uniform(32 * voxels(n), 0, 1)),
                     moving = narrowed(uniform(32 * voxels(n), 0, 1, 2));
        Values cost(size(kDisplacements * voxels(n)));
        Halves half(cost.size());
        context.cost_volume(view(fixed, n, 32), moving.data(), 20, kRadius, cost.data());
        context.cost_volume_half(view(fixed, n, 32), moving.data(), 20, kRadius, half.data());
        const Values costs = widened(half);
        for (std::size_t i = 0; i < cost.size(); ++i) CHECK_NEAR(costs[i], cost[i], 1e-3);
        return costs;
      },
      1e-3);
}

TEST(search, smoothing_keeps_a_constant_cost_and_works_in_place) {
  hold(
      [](const Context& context, Extent n) {
        const Values cost = uniform(kDisplacements * voxels(n), 0, 1), constant(cost.size(), 0.5f);
        Values out(cost.size()), in_place = cost;
        context.smooth_cost(constant.data(), n, kDisplacements, 1, out.data());
        for (float value : out) CHECK_NEAR(value, 0.5, 1e-6);
        context.smooth_cost(cost.data(), n, kDisplacements, 1, out.data());
        context.smooth_cost(in_place.data(), n, kDisplacements, 1, in_place.data());
        CHECK(same_bits(in_place, out));
        const Halves half = narrowed(cost);
        Halves smoothed(half.size());
        context.smooth_cost_half(half.data(), n, kDisplacements, 1, smoothed.data());
        for (std::size_t i = 0; i < out.size(); ++i) CHECK_NEAR(scalar::widen(smoothed[i]), out[i], 2e-3);
        return out;
      },
      2e-6);
}

TEST(search, a_strong_coupling_stays_and_none_takes_the_cheapest) {
  hold(
      [](const Context& context, Extent n) {
        const Values cost = uniform(kDisplacements * voxels(n), 0, 1);
        Values still(size(3 * voxels(n)), 0.f), free(still.size()), held(still.size()), half_free(still.size());
        context.coupled_convex(cost.data(), still.data(), n, kRadius, 1e6f, held.data());
        for (float value : held) CHECK(value == 0.f);
        context.coupled_convex(cost.data(), still.data(), n, kRadius, 0.f, free.data());
        for (std::int64_t cell = 0; cell < voxels(n); ++cell) {
          int k = 0;
          for (int axis = 0; axis < 3; ++axis)
            k = k * (2 * kRadius[axis] + 1) + int(free[size(axis * voxels(n) + cell)]) + kRadius[axis];
          const float* costs = cost.data() + cell * kDisplacements;
          for (int other = 0; other < kDisplacements; ++other) CHECK(costs[k] <= costs[other]);
        }
        context.coupled_convex_half(narrowed(cost).data(), still.data(), n, kRadius, 1e4f, half_free.data());
        for (float value : half_free) CHECK(value == 0.f);
        context.coupled_convex(cost.data(), free.data(), n, kRadius, 0.1f, free.data());  // in place
        return free;
      },
      0);
}

}  // namespace mmreg::test
