// The deformable solver and the pipeline on critical extents and contents.
#include <cmath>

#include "pipeline/pipeline.h"
#include "solver/deform/extrapolate.h"
#include "solver/math/affine_fit.h"
#include "tests/each.h"

namespace mmreg::test {
namespace {

DeformInput input(const Values& fixed, const Values& moving, Extent n, const std::uint8_t* valid = nullptr) {
  return {fixed.data(), moving.data(), valid, valid, n, {3, 1, 1}, nullptr, nullptr, 0};
}

Values deformed(const Context& context, const DeformInput& pair) {
  const ExtrapolatedPair extrapolated = extrapolate(context, pair);
  const PairStatistics statistics = measure_image_statistics(context, extrapolated.input);
  const Deformation d = deform(context, extrapolated.input, statistics, select_settings(statistics, extrapolated.input),
                               [](double) { return false; });
  Values u(d.u.size());
  d.u.download(u.data());
  return u;
}

}  // namespace

TEST(deform, any_extent_gets_a_finite_map_with_the_same_bits_for_any_threads) {
  for (const Operations* target : {all_targets().back(), &device_table()})
    for (const Extent n : edge_extents) {
      const Values fixed = uniform(voxels(n), 0, 1), moving = uniform(voxels(n), -5, 5, 2);
      const Values one = deformed(Context(*target, *open(*target, 1)), input(fixed, moving, n));
      for (float value : one) CHECK(std::isfinite(value));
      CHECK(same_bits(one, deformed(Context(*target, *open(*target, 3)), input(fixed, moving, n))));
    }
}

TEST(deform, masks_of_all_kinds_get_a_finite_map) {
  const Extent n = {9, 17, 21};
  const Values fixed = uniform(voxels(n), 0, 1), moving = uniform(voxels(n), -5, 5, 2);
  std::vector<std::uint8_t> valid(size(voxels(n)));
  for (int step : {1, 2, 50, 3000, 100000}) {
    for (std::size_t i = 0; i < valid.size(); ++i) valid[i] = i % size(step) == 0 && step < 100000;
    for (const Operations* target : {all_targets().back(), &device_table()})
      for (float value : deformed(Context(*target, *open(*target, 2)), input(fixed, moving, n, valid.data())))
        CHECK(std::isfinite(value));
  }
}

TEST(deform, the_affine_part_is_what_most_agree_on) {
  const Extent n = {7, 9, 11};
  const AffineMap truth = {{1.1, 0.05, 0, 2, 0, 0.95, 0.1, -1, 0.02, 0, 1.05, 3}};
  const std::size_t count = size(voxels(n));
  Values u(3 * count);
  const Values noise = uniform(voxels(n), -20, 20);
  std::vector<std::uint8_t> mask(count, 1);
  for (std::size_t i = 0; i < count; ++i) {
    const Point p = {{double(i / size(n.w) / size(n.h)), double(i / size(n.w) % size(n.h)), double(i % size(n.w))}};
    const Point to = apply(truth, p);
    for (int a = 0; a < 3; ++a) u[size(a) * count + i] = i % 4 == 0 ? noise[i] : float(to.x[a] - p.x[a]);
  }
  const AffineFit fit = fit_affine(u, mask, n);
  for (int k = 0; k < 12; ++k) CHECK_NEAR(fit.map.m[k], truth.m[k], k % 4 == 3 ? 0.5 : 0.05);  // a quarter is noise
  CHECK(plausible(fit.map));
  const AffineFit empty = fit_affine(u, std::vector<std::uint8_t>(count), n);
  CHECK(empty.moved_vox == 0);
  const AffineFit plane = fit_affine(Values(3 * 5 * 6, 1.0f), std::vector<std::uint8_t>(5 * 6, 1), {1, 5, 6});
  for (int k = 0; k < 12; ++k) CHECK_NEAR(plane.map.m[k], k % 4 == 3 ? 1 : AffineMap().m[k], 1e-9);
}

TEST(deform, the_nearest_rotation_of_a_stretched_one_is_that_rotation) {
  const AffineMap turn = rotation({{0.3, -0.4, 0.2}}), stretch = {{1.2, 0, 0, 0, 0, 0.9, 0, 0, 0, 0, 1.05, 0}};
  const AffineMap back = nearest_rotation(compose(turn, stretch));
  for (int k = 0; k < 12; ++k) CHECK_NEAR(back.m[k], turn.m[k], 1e-12);
}

TEST(deform, the_pipeline_gives_an_answer_on_any_pair_of_extents) {
  for (const Operations* target : {all_targets().back(), &device_table()})
    for (const Extent n : {Extent{1, 1, 1}, Extent{1, 14, 9}, Extent{5, 16, 13}, Extent{12, 12, 12}})
      for (const Extent m : {Extent{1, 1, 1}, Extent{1, 12, 13}, Extent{6, 9, 11}}) {
        const Values fixed = uniform(voxels(n), 0, 1), moving = uniform(voxels(m), -5, 5, 2);
        const AffineMap affine = {{2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0}};
        const Scan f{fixed.data(), n, affine, nullptr}, s{moving.data(), m, affine, nullptr};
        const PipelineOptions options;
        const std::unique_ptr<Queue> queue = open(*target, 2);
        const PipelineResult r = run(Context(*target, *queue), f, s, options);
        CHECK(!r.cancelled && !r.degraded);
        Values u(r.displacement_mm.size());
        r.displacement_mm.download(u.data());
        for (float value : u) CHECK(std::isfinite(value));
      }
}

TEST(deform, the_pipeline_runs_any_network_on_any_pair_of_extents) {
  const Operations& target = *all_targets().back();
  const AffineMap affine = {{2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0}};
  for (const EngineOutput output : {EngineOutput::displacement, EngineOutput::velocity, EngineOutput::descriptor})
    for (const Extent n : {Extent{1, 1, 1}, Extent{1, 14, 9}, Extent{12, 12, 12}})
      for (const Extent grid : {Extent{1, 16, 16}, Extent{7, 5, 16}}) {
        const Values fixed = uniform(voxels(n), 0, 1), moving = uniform(voxels(n), -5, 5, 2);
        const Scan f{fixed.data(), n, affine, nullptr}, m{moving.data(), n, affine, nullptr};
        Engine engine;
        engine.intensities = {Normalisation::percentile, 1, 99};
        engine.output = output;
        engine.extent = grid;
        engine.affine = affine;
        engine.factor = 2;
        engine.integration_steps = 5;
        engine.planes = 3;
        const Extent coarse = extent_of(grid, engine.field_factor());
        engine.field = [&](const float* a, const float* b, float* field, const Stop&) {
          std::fill_n(field, 3 * voxels(coarse), a[0] + b[voxels(grid) - 1]);
        };
        engine.describe = [&](Side, const float* image, float* planes, const Stop&) {
          for (int c = 0; c < 3; ++c) std::copy_n(image, voxels(grid), planes + c * voxels(grid));
        };
        PipelineOptions options;
        options.align = AlignKind::none;
        options.engine = &engine;
        const std::unique_ptr<Queue> queue = open(target, 2);
        const PipelineResult r = run(Context(target, *queue), f, m, options);
        CHECK(!r.cancelled && !r.degraded);
        Values u(r.displacement_mm.size());
        r.displacement_mm.download(u.data());
        for (float value : u) CHECK(std::isfinite(value));
      }
}

}  // namespace mmreg::test
