// From two scans to one transform: the stages, the clock and the cancel flag. Python and C hosts run the same code;
// nothing here depends on either.
#pragma once
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/engine.h"
#include "pipeline/evidence.h"
#include "pipeline/measured_scan.h"
#include "solver/align/align.h"
#include "solver/deform/deform.h"

namespace mmreg {

enum class Stage : int { align, network, deform, finish, count };
const char* stage_name(Stage);

// The figures of quality to measure. `fast` leaves out those by patterns, the evidence for the verdict and the
// consistency of the inverse, which take most of the time.
enum class Figures { full, fast, none };

struct PipelineOptions {
  AlignKind align = AlignKind::affine;
  AffineMap start;  // fixed mm to moving mm: the transform in place of an alignment, or the start of rigid networks
  bool deform = true;
  const Engine* engine = nullptr;  // a network, for the deformation
  bool refine = true;              // continue with the solver from the field of a network; descriptors always do
  std::optional<float> outside;    // of the warped scan; empty: the lowest value of the moving scan
  bool inverse = true;             // compute it
  Figures figures = Figures::full;
  double deadline_s = 0;        // from the start of run() until it returns; 0: none
  std::function<double()> now;  // seconds of a monotonic clock; empty: that of the machine
  // Called between and inside stages with the completed share of the stage. Returns true to cancel the registration.
  std::function<bool(Stage, double)> cancelled;
  // Called inside operations, far more often and by the calling thread. Returns true to cancel the registration.
  std::function<bool()> interrupted;
};

// Seconds of the parts of the last stage.
struct Costs {
  double render = 0;       // the transform and the warped scan: always computed
  double handing_out = 0;  // arrays to the caller, and the caller's own work on them: always done
  double inverse = 0;      // of a deformation
  double figures = 0;      // of quality
};

enum class NetworkEnd { none, complete, stopped, not_begun };
struct NetworkRun {
  NetworkEnd end = NetworkEnd::none;  // none: there is no network
  double expected_s = 0, left_s = 0;  // when the decision to run it was made; both 0 without a deadline
};

// Networks that output rigid motions, and the solver's rigid stage after them.
enum class CascadeRefinement { not_wanted, no_time, rejected, accepted };
struct CascadeRun {
  int stages_run = 0;
  CascadeRefinement refinement = CascadeRefinement::not_wanted;
  double away_mm = 0;  // largest motion of a corner of the window by the refinement
  Point window_centre_mm{};
};

constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

struct Quality {                      // `kNotMeasured`, or empty: not requested, or there was no time for it
  double nmi_before = kNotMeasured;   // normalised mutual information, near the body of the fixed scan; not measured
  double nmi_after = kNotMeasured;    // before if the headers put too little of the moving scan on that body
  double mind_before = kNotMeasured;  // mean squared difference of MIND-SSC features, half resolution; likewise
  double mind_after = kNotMeasured;
  PoseEvidence pose;
  ResidualEvidence residual;
  std::optional<Folding> folding, inverse_folding;  // of the transform and of its inverse, as they are returned
  double inverse_consistency_mean_mm = kNotMeasured, inverse_consistency_p95_mm = kNotMeasured;
  double inverse_consistency_max_mm = kNotMeasured;
  double displacement_p50_mm = kNotMeasured, displacement_p95_mm = kNotMeasured;  // of the deformation alone
  double displacement_max_mm = kNotMeasured;
  double overlap = kNotMeasured;  // share of the body of the fixed scan that the moving scan covers
};

struct PipelineResult {
  AffineMap rigid, affine;        // fixed mm to moving mm; the identity if not requested
  Buffer<float> deformation_mm;   // (3, fixed), RAS+: affine(p + deformation(p)) is the moving point; empty if none
  Buffer<float> displacement_mm;  // (3, fixed), RAS+: p + displacement(p) is the moving point
  Buffer<float> inverse_mm;       // (3, moving), RAS+: q + inverse(q) is the fixed point; empty: not computed
  Buffer<float> warped;           // the moving scan on the fixed grid
  Buffer<std::uint8_t> valid;     // (fixed): 1 where the moving scan was sampled
  double seconds[int(Stage::count)] = {};
  Quality quality;
  Costs expected, taken;   // of the last stage; expected only with a deadline, handing out is not in taken
  bool degraded = false;   // the deadline cut a stage short or off
  bool cancelled = false;  // nothing else is filled in
  std::string finished;    // the last stage that was completed
  NetworkRun network;
  CascadeRun cascade;
  Alignment alignment;
  bool start_kept = false;  // no alignment is better than the start
  bool tracked = false;     // the alignment started from the transform of the call before
  DeformationEvidence deformation;
  PairStatistics facts{};
  DeformSettings settings;
};

// The costs of the last stage, learnt from the calls of a session.
struct CostsOfSession {
  Figures figures = Figures::none;
  bool inverse = false;
  Extent moving{};
  std::optional<Costs> costs;
  bool handed_out = false;  // the cost of it was measured

  bool knows(const PipelineOptions& options, Extent m) const {
    return costs && options.figures == figures && options.inverse == inverse && m.d == moving.d && m.h == moving.h &&
           m.w == moving.w;
  }
  // `expected`: for the call that `result` is of.
  void learn(const PipelineOptions&, Extent moving, const Costs& expected, const PipelineResult&);
  void learn_handing_out(double seconds);
};

// What a session keeps of one call for the next.
struct Track {
  Pose pose;
  FixedPart fixed;
  double information = 0;  // mutual information of the pose, nats per sample
  double fit = 0;          // agreement of edges at the rigid pose
  Buffer<float> u;         // (3, fixed), in voxels: the deformation; empty: none
  bool given = false;      // the pose comes from the caller: how well it fits is unknown
};

// Returns whether an alignment fits so much worse than the one before that it is in another place.
bool is_lost(const Alignment&, const Track& before);

PipelineResult run(const Context&, const Scan& fixed, const Scan& moving, const PipelineOptions&);

// The same for a fixed scan that is kept, starting from `last`; null: from the headers. `next`, if not null, gets the
// track of this call, unless it was cancelled or its alignment is incomplete.
PipelineResult run(const Context&, MeasuredScan& fixed, const Scan& moving, const PipelineOptions&, const Track* last,
                   std::optional<Track>* next, CostsOfSession&);

}  // namespace mmreg
