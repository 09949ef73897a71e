// A plan: equality with the pipeline on any grids, and detection and removal of folds.
#include "pipeline/plan.h"

#include <cmath>

#include "pipeline/pipeline.h"
#include "tests/each.h"

namespace mmreg::test {
namespace {

constexpr AffineMap kAffine = {{2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0}};

Engine engine_of(EngineOutput output, Extent grid) {
  Engine engine;
  engine.intensities = {Normalisation::percentile, 1, 99};
  engine.output = output;
  engine.extent = grid;
  engine.affine = kAffine;
  engine.factor = 2;
  engine.integration_steps = 5;
  return engine;
}

Values downloaded(const Buffer<float>& memory) {
  Values out(memory.size());
  memory.download(out.data());
  return out;
}

// Returns the displacement of the plan for a network whose output is `value` everywhere.
Values planned(const Context& context, const Engine& engine, const Scan& f, const Scan& m, float value) {
  Plan plan(context, engine, f, m, AffineMap());
  context.upload(plan.fixed.data(), f.data, sizeof(float) * plan.fixed.size());
  context.upload(plan.moving.data(), m.data, sizeof(float) * plan.moving.size());
  plan.preprocess();
  context.fill(plan.field_channels() * voxels(plan.field_extent()), value, plan.field());
  plan.finish();
  const PlanFacts facts = plan.facts();
  CHECK(facts.folds == 0 && facts.fixed.not_finite == 0);
  CHECK(voxels(f.extent) == 1 || facts.fixed.smallest < facts.fixed.largest);
  return downloaded(plan.displacement_mm);
}

}  // namespace

TEST(plan, gives_what_the_pipeline_gives_on_any_pair_of_extents) {
  for (const Operations* target : {all_targets().back(), &device_table()})
    for (const EngineOutput output : {EngineOutput::displacement, EngineOutput::velocity})
      for (const Extent n : {Extent{1, 1, 1}, Extent{1, 14, 9}, Extent{9, 7, 12}})
        for (const Extent grid : {Extent{1, 16, 16}, Extent{7, 5, 16}}) {
          const Values fixed = uniform(voxels(n), 0, 1), moving = uniform(voxels(n), -5, 5, 2);
          const Scan f{fixed.data(), n, kAffine, nullptr}, m{moving.data(), n, kAffine, nullptr};
          Engine engine = engine_of(output, grid);
          const std::unique_ptr<Queue> queue = open(*target, 2);
          const Context context(*target, *queue);
          const Values result = planned(context, engine, f, m, 0.7f);
          const Extent coarse = extent_of(grid, engine.field_factor());
          engine.field = [&](const float*, const float*, float* field, const Stop&) {
            context.fill(3 * voxels(coarse), 0.7f, field);
          };
          PipelineOptions options;
          options.align = AlignKind::none;
          options.engine = &engine;
          options.refine = false;
          const Buffer<float> device_fixed = uploaded(context, fixed), device_moving = uploaded(context, moving);
          const PipelineResult whole = run(context, {device_fixed.data(), n, kAffine, nullptr},
                                           {device_moving.data(), n, kAffine, nullptr}, options);
          CHECK(same_bits(result, downloaded(whole.displacement_mm)));
        }
}

TEST(plan, removes_folds_and_says_how_many) {
  for (const Operations* target : {all_targets().back(), &device_table()}) {
    const Extent n{10, 12, 14};
    const std::unique_ptr<Queue> queue = open(*target, 2);
    const Context context(*target, *queue);
    Engine engine = engine_of(EngineOutput::displacement, n);
    engine.factor = 1;
    Plan plan(context, engine, {nullptr, n, kAffine, nullptr}, {nullptr, n, kAffine, nullptr}, AffineMap());
    const Values image = uniform(voxels(n), 0, 1), rough = uniform(3 * voxels(n), -3, 3, 5);
    for (float* scan : {plan.fixed.data(), plan.moving.data()})
      context.upload(scan, image.data(), sizeof(float) * image.size());
    plan.preprocess();
    context.upload(plan.field(), rough.data(), sizeof(float) * rough.size());
    plan.finish();
    CHECK(plan.facts().folds > 100);
    CHECK(plan.remove_folds() == 0);
    for (float value : downloaded(plan.displacement_mm)) CHECK(std::isfinite(value));
  }
}

}  // namespace mmreg::test
