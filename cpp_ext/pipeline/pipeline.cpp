#include "pipeline/pipeline.h"

#include <chrono>

#include "pipeline/finish.h"
#include "pipeline/prepare.h"
#include "pipeline/second_look.h"
#include "solver/fill.h"

namespace mmreg {
namespace {

// What the last stage costs, in passes of resampling the moving scan: kept back from the budget of the others.
constexpr double kFinishInPasses = 25;

class Clock {
 public:
  explicit Clock(const PipelineOptions& options) : options_(options), start_(now()), lap_(start_) {}

  void keep(double seconds) { kept_ = seconds; }

  // True if the work should stop: out of time, or nobody wants it any more.
  bool stop(Stage stage, double share) {
    if (!cancelled_ && options_.cancelled && options_.cancelled(stage, share)) cancelled_ = true;
    return cancelled_ || (options_.deadline_s > 0 && now() - start_ + kept_ >= options_.deadline_s);
  }

  bool cancelled() const { return cancelled_; }

  double lap() {
    const double at = now(), took = at - lap_;
    lap_ = at;
    return took;
  }

 private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  const PipelineOptions& options_;
  double start_, lap_, kept_ = 0;
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
    if (options.align == AlignKind::none) return;
    AlignOptions wanted;
    wanted.kind = options.align;
    result.alignment = align(operations, queue, fixed, moving, wanted, [&] { return clock.stop(Stage::align, 0.5); });
    result.alignment = second_look(operations, queue, fixed, moving, result.alignment, options.align,
                                   [&] { return clock.stop(Stage::align, 0.8); });
    result.rigid = result.alignment.rigid, result.affine = result.alignment.affine;
    if (result.alignment.complete) result.finished = stage_name(Stage::align);
    result.degraded |= !result.alignment.complete;
  }

  TableMemory<float> no_deformation() const { return constant(operations, queue, 3 * voxels(fixed.extent), 0.0f); }

  TableMemory<float> deform_stage() const {
    if (!options.deform) return no_deformation();
    if (clock.stop(Stage::deform, 0)) {
      result.degraded = true;
      return no_deformation();
    }
    const Frames frames(fixed, moving, result.affine);
    Clock pass(options);
    const Prepared prepared = prepare(operations, queue, fixed, moving, frames.to_moving());
    clock.keep(kFinishInPasses * pass.lap());
    const Filled filled = fill(operations, queue, input_of(fixed, prepared.moving.data(), prepared.valid.data()));
    const DeformInput& input = filled.input;
    result.facts = look(operations, queue, input);
    if (result.facts.fixed.flat || result.facts.moving.flat) return no_deformation();
    result.settings = choose(result.facts, input);
    Deformation d = deform(operations, queue, input, result.facts, result.settings,
                           [&](double share) { return clock.stop(Stage::deform, share); });
    result.deformation_mm = TableMemory<float>(operations, queue, d.u.size());
    if (d.complete) result.finished = stage_name(Stage::deform);
    result.degraded |= !d.complete;
    return std::move(d.u);
  }
};

}  // namespace

const char* stage_name(Stage stage) {
  static const char* const names[] = {"align", "deform", "finish"};
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
  result.seconds[int(Stage::deform)] = clock.lap();
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
