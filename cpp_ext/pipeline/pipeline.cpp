#include "pipeline/pipeline.h"

#include <algorithm>

#include "ops/interruption.h"
#include "pipeline/cascade.h"
#include "pipeline/costs.h"
#include "pipeline/network.h"
#include "pipeline/outputs.h"
#include "pipeline/resampling.h"
#include "pipeline/stopwatch.h"
#include "pipeline/verify_alignment.h"
#include "solver/deform/extrapolate.h"

namespace mmreg {
namespace {

// The solver searches widely: where it ends further off than this from where networks led, by the corners of their
// window, it has found another place. As far as the last networks are trained to reach.
constexpr double kTrustedMm = 8;

struct Run {  // what every stage sees
  const Context& context;
  const Scan &fixed, &moving;
  const PipelineOptions& options;
  Clock& clock;
  PipelineResult& result;

  void align_stage() const {
    if (options.align == AlignKind::none) {
      result.affine = options.start;
      return;
    }
    AlignOptions wanted;
    wanted.kind = options.align;
    try {
      const Interruption alarm(context, clock.alarm(clock.least()));
      result.alignment = align(context, fixed, moving, wanted, [&] { return clock.stop(Stage::align, 0.5); });
      result.alignment = verify_alignment(context, fixed, moving, result.alignment, options.align,
                                          [&] { return clock.stop(Stage::align, 0.8); });
    } catch (const Abandoned&) {
      result.alignment.complete = false;
    }
    result.rigid = result.alignment.rigid;
    result.affine = result.alignment.affine;
    try {
      const Interruption alarm(context, clock.alarm(clock.least()));
      keep_start_if_as_good();
    } catch (const Abandoned&) {
      result.alignment.complete = false;
    }
    if (result.alignment.complete) result.finished = stage_name(Stage::align);
    result.degraded |= !result.alignment.complete;
  }

  void keep_start_if_as_good() const {
    if (clock.cancelled() || beats_start(context, fixed, moving, options.start, result.affine)) return;
    result.start_kept = true;
    result.rigid = result.affine = options.start;
  }

  // Networks that give rigid motions take the place of the alignment, and the solver may go on from where they led.
  void cascade_stage() const {
    AffineMap map = options.start;
    {
      const Timed timed(result.seconds[int(Stage::network)]);
      map = run_cascade(context, *options.engine, fixed, moving, map, clock, result.network, result.cascade);
    }
    if (result.cascade.stages_run > 0) result.finished = stage_name(Stage::network);
    result.degraded |= result.network.end != NetworkEnd::complete;
    if (options.refine && result.network.end == NetworkEnd::complete) map = refined(map);
    result.rigid = map;
    result.affine = map;
  }

  // The solver's rigid stage, from `map`.
  AffineMap refined(const AffineMap& map) const {
    CascadeRun& cascade = result.cascade;
    cascade.refinement = CascadeRefinement::no_time;
    if (time_is_up(Stage::align)) return map;
    Scan placed = moving;
    placed.affine = compose(invert(map), moving.affine);
    PipelineOptions rigid = options;
    rigid.align = AlignKind::rigid;
    rigid.start = AffineMap();
    PipelineResult found;
    Run{context, fixed, placed, rigid, clock, found}.align_stage();
    result.degraded |= found.degraded;
    if (found.degraded) return map;
    const AffineMap better = compose(map, found.rigid);
    cascade.away_mm = corner_distance_mm(*options.engine, map, better);
    cascade.refinement = cascade.away_mm > kTrustedMm ? CascadeRefinement::rejected : CascadeRefinement::accepted;
    if (cascade.refinement == CascadeRefinement::rejected) return map;
    result.finished = stage_name(Stage::align);
    return better;
  }

  bool is_cascade() const { return options.engine && options.engine->output == EngineOutput::rigid; }

  bool time_is_up(Stage stage) const {
    const bool up = clock.stop(stage, 0);
    result.degraded |= up;
    return up;
  }

  Buffer<float> no_deformation() const { return constant(context, fixed.extent, 0, 3); }

  // Of images on one grid, the moving one as the alignment and `prior` leave it; empty where there is nothing to match.
  Buffer<float> solved(const DeformInput& given, const Prior& prior) const {
    const ExtrapolatedPair filled = extrapolate(context, given);
    result.facts = measure_image_statistics(context, filled.input);
    if (result.facts.fixed.flat || result.facts.moving.flat) return {};
    result.settings = select_settings(result.facts, filled.input);
    Deformation d = deform(
        context, filled.input, result.facts, result.settings,
        [&](double share) { return clock.stop(Stage::deform, share); }, prior);
    if (d.complete) result.finished = stage_name(Stage::deform);
    result.degraded |= !d.complete;
    return std::move(d.u);
  }

  Buffer<float> solved_on_fixed(const float* fixed_data, const float* moving_data, const Prior& prior) const {
    Scan seen_fixed = fixed, seen_moving = moving;
    seen_fixed.data = fixed_data;
    seen_moving.data = moving_data;
    const Prepared prepared =
        prepare(context, seen_fixed, seen_moving, Frames(fixed, moving, result.affine).to_moving());
    return solved(input_of(seen_fixed, prepared.moving.data(), prepared.valid.data()), prior);
  }

  // The network describes both scans on its own grid, the solver matches on that of the fixed scan.
  Buffer<float> described() const {
    const Engine& engine = *options.engine;
    double& seconds = result.seconds[int(Stage::network)];
    const Buffer<Extremes> found(context, 2);
    const Buffer<float> f = normalised(context, engine, fixed, found.data()),
                        m = normalised(context, engine, moving, found.data() + 1);
    Prior prior = describing(context, engine, fixed, stop_network(), seconds);
    prior.describe = [this, describe = prior.describe](Side side, const float* image, Half* features) {
      describe(side, image, features);
      if (side == Side::moving) result.network.end = NetworkEnd::complete;
    };
    return solved_on_fixed(f.data(), m.data(), prior);
  }

  Buffer<float> predicted() const {
    const Timed timed(result.seconds[int(Stage::network)]);
    Buffer<float> u = predict(context, *options.engine, fixed, moving, result.affine, stop_network());
    result.finished = stage_name(Stage::network);
    result.network.end = NetworkEnd::complete;
    return u;
  }

  // What `find` finds; empty where there was not even time to end the step that it was in.
  template <class Find>
  Buffer<float> in_time(const Find& find) const {
    try {
      const Interruption alarm(context, clock.alarm(clock.least()));
      return find();
    } catch (const Abandoned&) {
      result.degraded = true;
      return {};
    }
  }

  Buffer<float> deformation() const {
    const auto solve = [&](const Prior& prior) { return solved_on_fixed(fixed.data, moving.data, prior); };
    if (!options.engine) return in_time([&] { return solve({}); });
    if (options.engine->output == EngineOutput::descriptor) return in_time([&] { return described(); });
    Buffer<float> u = in_time([&] { return predicted(); });
    if (!u.data() || !options.refine || time_is_up(Stage::deform)) return u;
    Prior prior;
    prior.u = u.data();
    Buffer<float> refined = in_time([&] { return solve(prior); });
    return refined.data() ? std::move(refined) : std::move(u);
  }

  // What is asked while the network runs.
  Stop stop_network() const {
    return [this, began = clock.seconds()] {
      const double expected = options.engine->expected_s[0], gone = clock.seconds() - began;
      return clock.too_late(Stage::network, expected > 0 ? std::min(gone / expected, 0.99) : 0.5);
    };
  }

  bool too_late_for_network() const {
    const bool late = !begins(clock, options.engine->expected_s[0], 0, result.network);
    result.degraded |= late;
    return late;
  }

  // Whether the solver's own deformation is better than none; what a network finds is what was asked for. Where there
  // is no time to tell, it stands.
  bool improves(const Buffer<float>& u) const {
    if (options.engine) return true;
    try {
      const Interruption alarm(context, clock.alarm(clock.least()));
      result.deformation = deformation_evidence(context, fixed, moving, result.affine, u.data());
    } catch (const Abandoned&) {
      result.degraded = true;
    }
    return result.deformation.kept;
  }

  Buffer<float> deform_stage() const {
    if (!options.deform || is_cascade() || (options.engine ? too_late_for_network() : time_is_up(Stage::deform)))
      return no_deformation();
    Buffer<float> u = deformation();
    if (!u.data() || !improves(u)) return no_deformation();
    result.deformation_mm = Buffer<float>(context, fixed.extent, 3);
    return u;
  }
};

}  // namespace

const char* stage_name(Stage stage) {
  static const char* const names[] = {"align", "network", "deform", "finish"};
  return names[int(stage)];
}

PipelineResult run(const Context& context, const Scan& fixed, const Scan& moving, const PipelineOptions& options) {
  PipelineResult result;
  Clock clock(options);
  if (clock.limited()) clock.keep(result.expected = costs_of_finish(context, fixed, moving, clock));
  const Run stages{context, fixed, moving, options, clock, result};
  if (stages.is_cascade()) {
    stages.cascade_stage();
  } else {
    stages.align_stage();
  }
  result.seconds[int(Stage::align)] = clock.lap() - result.seconds[int(Stage::network)];
  const double network_before = result.seconds[int(Stage::network)];
  Buffer<float> u;
  if (!clock.cancelled()) u = stages.deform_stage();
  result.seconds[int(Stage::deform)] = clock.lap() - (result.seconds[int(Stage::network)] - network_before);
  clock.stop(Stage::finish, 0);
  result.cancelled = clock.cancelled();
  if (result.cancelled) return result;
  finish(context, fixed, moving, u.data(), options.outside, clock, result);
  u = {};
  context.trim();  // who takes the result needs room for it
  result.seconds[int(Stage::finish)] = clock.lap();
  return result;
}

}  // namespace mmreg
