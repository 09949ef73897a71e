// From two scans to one transform: the stages, the clock and the cancel flag. The same line runs under Python and
// under a C host; nothing here knows of either.
#pragma once
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/engine.h"
#include "pipeline/evidence.h"
#include "solver/align/align.h"
#include "solver/deform/deform.h"

namespace mmreg {

enum class Stage : int { align, network, deform, finish, count };
const char* stage_name(Stage);

struct PipelineOptions {
  AlignKind align = AlignKind::affine;
  AffineMap start;  // fixed mm to moving mm: the transform that stands already where nothing is aligned, or before
                    // networks that give rigid motions
  bool deform = true;
  const Engine* engine = nullptr;  // a network, for the deformation
  bool refine = true;              // what it finds, by the solver; a descriptor always feeds the solver
  std::optional<float> outside;    // of the warped scan; none: the lowest value of the moving scan
  double deadline_s = 0;           // from the start of run(), until it returns; 0: none
  std::function<double()> now;     // seconds, of a clock that never goes back; empty: that of the machine
  // Asked between and inside stages with the share of the stage that is done; true: stop, nothing is wanted any more.
  std::function<bool(Stage, double)> cancelled;
};

// What the last stage takes, in seconds.
struct Costs {
  double render = 0;       // the transform and the warped scan: always done
  double handing_out = 0;  // arrays to the caller, and what the caller does with them: always done
  double inverse = 0;      // of a deformation
  double figures = 0;      // of quality
};

// What became of a network.
enum class NetworkEnd { none, complete, stopped, not_begun };
struct NetworkRun {
  NetworkEnd end = NetworkEnd::none;  // none: none was wanted
  double expected_s = 0, left_s = 0;  // when that was decided; both 0 where there is no deadline
};

// What became of networks that give rigid motions, and of the solver's rigid stage after them.
enum class CascadeRefinement { not_wanted, no_time, rejected, accepted };
struct CascadeRun {
  int stages_run = 0;
  CascadeRefinement refinement = CascadeRefinement::not_wanted;
  double away_mm = 0;  // how far the refinement moved a corner of the window, at most
  Point window_centre_mm{};
};

constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

struct Quality {                      // `kNotMeasured`, or empty: there was no time for it
  double nmi_before = kNotMeasured;   // normalised mutual information, near the body of the fixed scan; not measured
  double nmi_after = kNotMeasured;    // before where the headers put too little of the moving scan on that body
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
  AffineMap rigid, affine;        // fixed mm to moving mm; the identity where not wanted
  Buffer<float> deformation_mm;   // (3, fixed), RAS+: affine(p + deformation(p)) is the moving point; empty if none
  Buffer<float> displacement_mm;  // (3, fixed), RAS+: p + displacement(p) is the moving point
  Buffer<float> inverse_mm;       // (3, moving), RAS+: q + inverse(q) is the fixed point; empty: no time for it
  Buffer<float> warped;           // the moving scan on the fixed grid
  Buffer<std::uint8_t> valid;     // (fixed): 1 where the moving scan was sampled
  double seconds[int(Stage::count)] = {};
  Quality quality;
  Costs expected, taken;   // of the last stage; expected only where there is a deadline, handing out not taken yet
  bool degraded = false;   // the deadline cut a stage short or off
  bool cancelled = false;  // nothing else is filled in
  std::string finished;    // the last stage that was completed
  NetworkRun network;
  CascadeRun cascade;
  Alignment alignment;
  bool start_kept = false;  // no alignment was found that beats the start
  DeformationEvidence deformation;
  PairStatistics facts{};
  DeformSettings settings;
};

PipelineResult run(const Context&, const Scan& fixed, const Scan& moving, const PipelineOptions&);

}  // namespace mmreg
