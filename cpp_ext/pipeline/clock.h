// The time of one registration: the clock, the deadline and the share that is reserved for the last stage.
#pragma once
#include <algorithm>
#include <chrono>
#include <functional>

#include "pipeline/pipeline.h"

namespace mmreg {

class Clock {
 public:
  explicit Clock(const PipelineOptions& options) : options_(options), start_(now()) {}

  double seconds() const { return now() - start_; }  // since construction
  double left() const { return options_.deadline_s - seconds(); }
  bool limited() const { return options_.deadline_s > 0; }

  // Reserves the costs of the last stage, or half of the time that is left if that is less.
  void keep(const Costs& costs) {
    costs_ = costs;
    const double spare = 0.5 * (left() - least());
    kept_ = least() + std::max(0.0, std::min(spare, costs.inverse + costs.figures));
  }
  double least() const { return costs_.render + costs_.handing_out; }  // of the last stage: cannot be left out
  const Costs& costs() const { return costs_; }

  // For use between steps. Returns true if the work should stop: the reserved time begins, or the call was cancelled.
  bool stop(Stage stage, double share) {
    if (!cancelled_ && options_.cancelled && options_.cancelled(stage, share)) cancelled_ = true;
    return interrupted() || (limited() && left() <= kept_);
  }
  // The same for work whose partial result is useless: only the time that cannot be left out is reserved, and that
  // which it takes to stop.
  bool too_late(Stage stage, double share, double slack_s = 0) {
    stop(stage, share);
    return cancelled_ || (limited() && left() <= least() + slack_s);
  }
  bool cancelled() const { return cancelled_; }

  // For use inside operations, if stopping between steps would be too late. Empty if nothing can stop them.
  std::function<bool()> alarm(double kept) {
    if (!limited() && !options_.interrupted) return {};
    return [this, kept] { return interrupted() || (limited() && left() <= kept); };
  }

  double lap() {
    const double at = seconds(), took = at - lap_;
    lap_ = at;
    return took;
  }

 private:
  bool interrupted() { return cancelled_ = cancelled_ || (options_.interrupted && options_.interrupted()); }
  double now() const {
    using Steady = std::chrono::steady_clock;
    if (options_.now) return options_.now();
    return std::chrono::duration<double>(Steady::now().time_since_epoch()).count();
  }

  const PipelineOptions& options_;
  const double start_;
  Costs costs_;
  double lap_ = 0, kept_ = 0;
  bool cancelled_ = false;
};

}  // namespace mmreg
