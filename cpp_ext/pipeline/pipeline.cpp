#include "pipeline/pipeline.h"

#include <algorithm>
#include <utility>

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

// The solver searches widely: if its pose differs by more than this from that of the networks, at the corners of their
// window, it is in another place. The last networks are trained to reach this far.
constexpr double kTrustedMm = 8;
// Shares of the mutual information and of the agreement of edges before, below which tracking has lost the pose.
constexpr double kLost = 0.6, kLostFit = 0.7;

double information_of(const Alignment& a) { return a.affine_accepted ? a.information_affine : a.information_rigid; }

struct Run {  // the data that all stages share
  const Context& context;
  MeasuredScan &fixed, &moving;
  const PipelineOptions& options;
  Clock& clock;
  PipelineResult& result;
  const Track* last;  // null: start from the headers
  const bool keeps_track;

  void align_stage() {
    if (options.align == AlignKind::none) {
      result.affine = options.start;
      return;
    }
    if (last) track_pose();
    if (!result.tracked) search_pose();
    if (result.alignment.complete) result.finished = stage_name(Stage::align);
    result.degraded |= !result.alignment.complete;
  }

  void search_pose() const {
    align_from({});
    try {
      const Interruption alarm(context, clock.alarm(clock.least()));
      keep_start_if_as_good();
    } catch (const Abandoned&) {
      result.alignment.complete = false;
    }
  }

  // Optimises the pose of the call before, unless the scans no longer fit there.
  void track_pose() {
    align_from(last->pose);
    result.tracked = !result.alignment.complete || !is_lost(result.alignment, *last);
    if (!result.tracked) last = nullptr;
  }

  void align_from(const std::optional<Pose>& tracked) const {
    AlignOptions how;
    how.kind = options.align;
    how.tracked = tracked;
    if (tracked) how.fixed = last->fixed;
    how.measure_fit = keeps_track;
    try {
      const Interruption alarm(context, clock.alarm(clock.least()));
      result.alignment = align(context, fixed, fixed.statistics(), moving, moving.statistics(), how,
                               [&] { return clock.stop(Stage::align, 0.5); });
      if (!tracked)
        result.alignment = verify_alignment(context, fixed, moving, result.alignment, options.align,
                                            [&] { return clock.stop(Stage::align, 0.8); });
    } catch (const Abandoned&) {
      result.alignment.complete = false;
    }
    if (!keeps_track) result.alignment.fixed = {};  // memory that the deformation can use
    result.rigid = result.alignment.rigid;
    result.affine = result.alignment.affine;
  }

  void keep_start_if_as_good() const {
    if (clock.cancelled() || beats_start(context, fixed, moving, options.start, result.affine)) return;
    result.start_kept = true;
    result.rigid = result.affine = options.start;
  }

  // Networks that output rigid motions replace the alignment; the solver may refine their result.
  void cascade_stage() {
    AffineMap map = last ? last->pose.rigid : options.start;
    result.tracked = last;
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
    placed.affine = compose(invert(map), placed.affine);
    MeasuredScan measured(context, placed);
    PipelineOptions rigid = options;
    rigid.align = AlignKind::rigid;
    rigid.start = AffineMap();
    PipelineResult aligned;
    Run{context, fixed, measured, rigid, clock, aligned, nullptr, false}.align_stage();
    result.degraded |= aligned.degraded;
    if (aligned.degraded) return map;
    const AffineMap better = compose(map, aligned.rigid);
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

  Buffer<float> no_deformation() const { return constant(context, fixed.scan().extent, 0, 3); }

  // Returns the deformation between two images on one grid, starting from `prior`; empty if there is nothing to match.
  Buffer<float> solved(const DeformInput& input, const Prior& prior) const {
    const ExtrapolatedPair filled = extrapolate(context, input);
    const bool own = input.fixed == fixed.scan().data;  // and not prepared for a network
    result.facts = measure_image_statistics(context, filled.input,
                                            own && fixed.image_statistics ? &*fixed.image_statistics : nullptr);
    if (own) fixed.image_statistics = result.facts.fixed;
    if (result.facts.fixed.flat || result.facts.moving.flat) return {};
    result.settings = select_settings(result.facts, filled.input);
    if (last && !last->given && !options.engine) result.settings = tracking_settings(result.settings);
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

  // Returns the deformation that the solver finds with the features of a network in place of MIND-SSC.
  Buffer<float> described() const {
    const Engine& engine = *options.engine;
    double& seconds = result.seconds[int(Stage::network)];
    const Buffer<Extremes> found(context, 2);
    const Buffer<float> f = normalised(context, engine, fixed, found.data()),
                        m = normalised(context, engine, moving, found.data() + 1);
    Prior prior = describing(context, engine, fixed, stop_network(), seconds, keeps_track ? &fixed.described : nullptr);
    prior.describe = [this, describe = prior.describe](Side side, const float* image) {
      const Half* const features = describe(side, image);
      if (side == Side::moving) result.network.end = NetworkEnd::complete;
      return features;
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

  // Returns the result of `solve`, or an empty buffer if the deadline interrupted it.
  template <class Solve>
  Buffer<float> in_time(const Solve& solve) const {
    try {
      const Interruption alarm(context, clock.alarm(clock.least()));
      return solve();
    } catch (const Abandoned&) {
      result.degraded = true;
      return {};
    }
  }

  Buffer<float> deformation() const {
    const auto solve = [&](const Prior& prior) {
      return solved_on_fixed(fixed.scan().data, moving.scan().data, prior);
    };
    if (!options.engine) return in_time([&] { return solve(tracked_prior()); });
    if (options.engine->output == EngineOutput::descriptor) return in_time([&] { return described(); });
    Buffer<float> u = in_time([&] { return predicted(); });
    if (!u.data() || !options.refine || time_is_up(Stage::deform)) return u;
    Prior prior;
    prior.u = u.data();
    Buffer<float> refined = in_time([&] { return solve(prior); });
    return refined.data() ? std::move(refined) : std::move(u);
  }

  // The deformation of the call before.
  Prior tracked_prior() const {
    Prior prior;
    if (last) prior.u = last->u.data();
    return prior;
  }

  // Seconds of the runs of the network that are left to do; 0: unknown.
  double expected_network_s() const { return options.engine->expected_s[0] * (fixed.described.data() ? 0.5 : 1.0); }

  Stop stop_network() const {
    return [this, began = clock.seconds(), expected = expected_network_s()] {
      const double gone = clock.seconds() - began;
      return clock.too_late(Stage::network, expected > 0 ? std::min(gone / expected, 0.99) : 0.5,
                            options.engine->slack_s);
    };
  }

  bool too_late_for_network() const {
    const bool late = !begins(clock, expected_network_s(), 0, result.network);
    result.degraded |= late;
    return late;
  }

  // Returns whether the solver's deformation is better than none. Without the time to decide it is kept. The field of a
  // network was requested, and a tracked deformation was judged when it began.
  bool improves(const Buffer<float>& u) const {
    if (options.engine || tracked_prior().u) return true;
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
    result.deformation_mm = Buffer<float>(context, fixed.scan().extent, 3);
    return u;
  }
};

}  // namespace

const char* stage_name(Stage stage) {
  static const char* const names[] = {"align", "network", "deform", "finish"};
  return names[int(stage)];
}

bool is_lost(const Alignment& alignment, const Track& before) {
  return information_of(alignment) < kLost * before.information || alignment.fit < kLostFit * before.fit;
}

PipelineResult run(const Context& context, const Scan& fixed, const Scan& moving, const PipelineOptions& options) {
  MeasuredScan measured(context, fixed);
  CostsOfSession costs;
  return run(context, measured, moving, options, nullptr, nullptr, costs);
}

PipelineResult run(const Context& context, MeasuredScan& fixed, const Scan& moving, const PipelineOptions& options,
                   const Track* last, std::optional<Track>* next, CostsOfSession& costs) {
  PipelineResult result;
  Clock clock(options);
  if (clock.limited()) {
    result.expected =
        costs.knows(options, moving.extent) ? *costs.costs : costs_of_finish(context, fixed, moving, options, clock);
    clock.keep(result.expected);
  }
  MeasuredScan measured(context, moving);
  Run stages{context, fixed, measured, options, clock, result, last, next != nullptr};
  stages.is_cascade() ? stages.cascade_stage() : stages.align_stage();
  result.seconds[int(Stage::align)] = clock.lap() - result.seconds[int(Stage::network)];
  const double network_before = result.seconds[int(Stage::network)];
  Buffer<float> u;
  if (!clock.cancelled()) u = stages.deform_stage();
  result.seconds[int(Stage::deform)] = clock.lap() - (result.seconds[int(Stage::network)] - network_before);
  clock.stop(Stage::finish, 0);
  if (!clock.cancelled()) finish(context, fixed, measured, u.data(), options, clock, result);
  if (clock.limited()) costs.learn(options, moving.extent, result.expected, result);
  const FixedPart fixed_part = std::exchange(result.alignment.fixed, {});  // it must not outlive the fixed scan
  result.cancelled = clock.cancelled();
  if (result.cancelled) return result;
  if (next && (result.alignment.complete || options.align == AlignKind::none))
    next->emplace(Track{{result.rigid, result.affine},
                        fixed_part,
                        information_of(result.alignment),
                        result.alignment.fit,
                        result.deformation_mm.data() ? std::move(u) : Buffer<float>()});
  result.seconds[int(Stage::finish)] = clock.lap();
  return result;
}

}  // namespace mmreg
