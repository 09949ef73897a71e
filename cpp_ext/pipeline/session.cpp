#include "pipeline/session.h"

namespace mmreg {
namespace {

// After a frame that fits much worse than those before, such as one that moved out of the plane, the pose before it is
// the better start. If more such frames follow, the scans have changed: the reference decays.
constexpr double kDecay = 0.8;

}  // namespace

PipelineResult Session::run(const Scan& moving, const PipelineOptions& options, bool track) {
  return run(moving, options, track && last_ ? &*last_ : nullptr);
}

PipelineResult Session::run_from(const AffineMap& pose, const Scan& moving, const PipelineOptions& options) {
  Track given;
  given.pose = {pose, pose};
  given.given = true;
  return run(moving, options, &given);
}

PipelineResult Session::run(const Scan& moving, const PipelineOptions& options, const Track* start) {
  std::optional<Track> next;
  PipelineResult result = mmreg::run(context_, fixed_, moving, options, start, keeps_track_ ? &next : nullptr, costs_);
  if (!keeps_track_) context_.trim();  // the results are copied next, from memory of the same kind
  if (!next) return result;
  if (start && start == &*last_ && is_lost(result.alignment, *last_)) {
    last_->information *= kDecay;
    last_->fit *= kDecay;
  } else {
    last_ = std::move(next);
  }
  return result;
}

}  // namespace mmreg
