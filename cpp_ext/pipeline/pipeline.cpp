#include "pipeline/pipeline.h"

#include "pipeline/finish.h"
#include "pipeline/network.h"
#include "pipeline/prepare.h"
#include "pipeline/second_look.h"
#include "pipeline/stopwatch.h"
#include "solver/fill.h"

namespace mmreg {
namespace {

// What the last stage costs, in passes of resampling the moving scan: kept back from the budget of the others.
constexpr double kFinishInPasses = 25;

class Clock {
 public:
  explicit Clock(const PipelineOptions& options) : options_(options) {}

  void keep(double seconds) { kept_ = seconds; }

  // True if the work should stop: out of time, or nobody wants it any more.
  bool stop(Stage stage, double share) {
    if (!cancelled_ && options_.cancelled && options_.cancelled(stage, share)) cancelled_ = true;
    return cancelled_ || (options_.deadline_s > 0 && watch_.seconds() + kept_ >= options_.deadline_s);
  }

  bool cancelled() const { return cancelled_; }

  double lap() {
    const double at = watch_.seconds(), took = at - lap_;
    lap_ = at;
    return took;
  }

 private:
  const PipelineOptions& options_;
  const Stopwatch watch_;
  double lap_ = 0, kept_ = 0;
  bool cancelled_ = false;
};

struct Run {  // what every stage sees
  const Operations& operations;
  Queue& queue;
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
    result.alignment = align(operations, queue, fixed, moving, wanted, [&] { return clock.stop(Stage::align, 0.5); });
    result.alignment = second_look(operations, queue, fixed, moving, result.alignment, options.align,
                                   [&] { return clock.stop(Stage::align, 0.8); });
    result.rigid = result.alignment.rigid, result.affine = result.alignment.affine;
    keep_start_if_as_good();
    if (result.alignment.complete) result.finished = stage_name(Stage::align);
    result.degraded |= !result.alignment.complete;
  }

  void keep_start_if_as_good() const {
    if (clock.cancelled() || beats_start(operations, queue, fixed, moving, options.start, result.affine)) return;
    result.start_kept = true;
    result.rigid = result.affine = options.start;
  }

  bool time_is_up(Stage stage) const {
    const bool up = clock.stop(stage, 0);
    result.degraded |= up;
    return up;
  }

  TableMemory<float> no_deformation() const { return constant(operations, queue, 3 * voxels(fixed.extent), 0.0f); }

  // Of images on one grid, the moving one as the alignment and `prior` leave it; empty where there is nothing to match.
  TableMemory<float> solved(const DeformInput& given, const Prior& prior) const {
    const Filled filled = fill(operations, queue, given);
    result.facts = look(operations, queue, filled.input);
    if (result.facts.fixed.flat || result.facts.moving.flat) return {};
    result.settings = choose(result.facts, filled.input);
    Deformation d = deform(
        operations, queue, filled.input, result.facts, result.settings,
        [&](double share) { return clock.stop(Stage::deform, share); }, prior);
    if (d.complete) result.finished = stage_name(Stage::deform);
    result.degraded |= !d.complete;
    return std::move(d.u);
  }

  TableMemory<float> solved_on_fixed(const float* fixed_data, const float* moving_data, const Prior& prior) const {
    const Stopwatch pass;
    Scan seen_fixed = fixed, seen_moving = moving;
    seen_fixed.data = fixed_data, seen_moving.data = moving_data;
    const Prepared prepared =
        prepare(operations, queue, seen_fixed, seen_moving, Frames(fixed, moving, result.affine).to_moving());
    clock.keep(kFinishInPasses * pass.seconds());
    return solved(input_of(seen_fixed, prepared.moving.data(), prepared.valid.data()), prior);
  }

  // The network describes both scans on its own grid, the solver matches on that of the fixed scan.
  TableMemory<float> described() const {
    const Engine& engine = *options.engine;
    double& seconds = result.seconds[int(Stage::network)];
    const TableMemory<Extremes> found(operations, queue, 2);
    const TableMemory<float> f = normalised(operations, queue, engine, fixed, found.data()),
                             m = normalised(operations, queue, engine, moving, found.data() + 1);
    return solved_on_fixed(f.data(), m.data(), describing(operations, queue, engine, fixed, seconds));
  }

  TableMemory<float> predicted() const {
    const Stopwatch watch;
    TableMemory<float> u = predict(operations, queue, *options.engine, fixed, moving, result.affine);
    result.finished = stage_name(Stage::network);
    result.seconds[int(Stage::network)] = watch.seconds();
    return u;
  }

  TableMemory<float> deformation() const {
    if (!options.engine) return solved_on_fixed(fixed.data, moving.data, {});
    if (options.engine->output == EngineOutput::descriptor) return described();
    TableMemory<float> u = predicted();
    if (!options.refine || time_is_up(Stage::deform)) return u;
    Prior prior;
    prior.u = u.data();
    TableMemory<float> refined = solved_on_fixed(fixed.data, moving.data, prior);
    return refined.data() ? std::move(refined) : std::move(u);
  }

  // Whether the solver's own deformation is better than none; what a network finds is what was asked for.
  bool improves(const TableMemory<float>& u) const {
    if (options.engine) return true;
    result.deformation = deformation_evidence(operations, queue, fixed, moving, result.affine, u.data());
    return result.deformation.kept;
  }

  TableMemory<float> deform_stage() const {
    if (!options.deform || time_is_up(options.engine ? Stage::network : Stage::deform)) return no_deformation();
    TableMemory<float> u = deformation();
    if (!u.data() || !improves(u)) return no_deformation();
    result.deformation_mm = TableMemory<float>(operations, queue, u.size());
    return u;
  }
};

}  // namespace

const char* stage_name(Stage stage) {
  static const char* const names[] = {"align", "network", "deform", "finish"};
  return names[int(stage)];
}

PipelineResult run(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving,
                   const PipelineOptions& options) {
  PipelineResult result;
  Clock clock(options);
  const Run stages{operations, queue, fixed, moving, options, clock, result};
  stages.align_stage();
  result.seconds[int(Stage::align)] = clock.lap();
  TableMemory<float> u;
  if (!clock.cancelled()) u = stages.deform_stage();
  result.seconds[int(Stage::deform)] = clock.lap() - result.seconds[int(Stage::network)];
  clock.stop(Stage::finish, 0);
  result.cancelled = clock.cancelled();
  if (result.cancelled) return result;
  finish(operations, queue, fixed, moving, u.data(), result);
  u = {};
  operations.trim(queue);  // who takes the result needs room for it
  result.seconds[int(Stage::finish)] = clock.lap();
  return result;
}

}  // namespace mmreg
