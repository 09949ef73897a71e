// One fixed scan and a stream of moving scans: what is measured of the fixed scan is kept, and a registration may start
// from the transform of the one before.
#pragma once
#include "pipeline/pipeline.h"

namespace mmreg {

class Session {
 public:
  // The memory of the scan must outlive the session. `keeps_track`: keep what a later call needs to start from this
  // one.
  Session(const Context& context, const Scan& fixed, bool keeps_track = true)
      : context_(context), fixed_(context, fixed), keeps_track_(keeps_track) {}

  // Starts from the headers, or with `track` from the transform of the last call that found one, if there is any.
  PipelineResult run(const Scan& moving, const PipelineOptions&, bool track);
  // Starts from a rigid pose, fixed mm to moving mm.
  PipelineResult run_from(const AffineMap& pose, const Scan& moving, const PipelineOptions&);
  void forget() { last_.reset(); }
  // Reports how long the caller took to copy the results of a call, which the next one leaves time for.
  void handed_out(double seconds) { costs_.learn_handing_out(seconds); }

 private:
  PipelineResult run(const Scan& moving, const PipelineOptions&, const Track* start);

  Context context_;
  MeasuredScan fixed_;
  const bool keeps_track_;
  std::optional<Track> last_;
  CostsOfSession costs_;
};

}  // namespace mmreg
