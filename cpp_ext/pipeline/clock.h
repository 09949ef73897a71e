// The time of one registration: who asks for it, and what is kept back of it.
#pragma once
#include <algorithm>
#include <chrono>
#include <functional>

#include "pipeline/pipeline.h"

namespace mmreg {

class Clock {
 public:
  explicit Clock(const PipelineOptions& options) : options_(options), start_(now()) {}

  double seconds() const { return now() - start_; }  // since it was made
  double left() const { return options_.deadline_s - seconds(); }
  bool limited() const { return options_.deadline_s > 0; }

  // The last stage has its share of the time, all of it if that is no more than half of what is left.
  void keep(const Costs& costs) {
    costs_ = costs;
    const double spare = 0.5 * (left() - least());
    kept_ = least() + std::max(0.0, std::min(spare, costs.inverse + costs.figures));
  }
  double least() const { return costs_.render + costs_.handing_out; }  // that cannot be left out
  const Costs& costs() const { return costs_; }

  // Asked between steps. True if the work should stop: the time of the last stage begins, or nobody wants it any more.
  bool stop(Stage stage, double share) {
    if (!cancelled_ && options_.cancelled && options_.cancelled(stage, share)) cancelled_ = true;
    return cancelled_ || (limited() && left() <= kept_);
  }
  // The same of work that is worth nothing unless it ends: nothing is kept for what may be left out.
  bool too_late(Stage stage, double share) { return stop(stage, share) && (cancelled_ || left() <= least()); }
  bool cancelled() const { return cancelled_; }

  // Asked in the middle of operations: to stop between steps was too late.
  std::function<bool()> alarm(double kept) const {
    if (!limited()) return {};
    return [this, kept] { return left() <= kept; };
  }

  double lap() {
    const double at = seconds(), took = at - lap_;
    lap_ = at;
    return took;
  }

 private:
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
