// Rigid and affine alignment of two scans of any modality: statistics of each scan, a search over poses on a coarse
// level, and maximisation of the mutual information from coarse to fine, first rigid, then affine.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "solver/align/scan_statistics.h"

namespace mmreg {

class FixedLevels;

enum class AlignKind : int { none, rigid, affine };

// Fixed mm to moving mm.
struct Pose {
  AffineMap rigid, affine;
};

// What a later alignment to the same fixed scan can use of an earlier one.
struct FixedPart {
  std::shared_ptr<FixedLevels> levels;
  std::optional<double> chance;  // agreement of edges at unrelated rotations on the finest level
};

struct AlignOptions {
  AlignKind kind = AlignKind::affine;
  double reach_degrees = 45;    // of the search over rotations, each way from the one in the headers
  std::optional<Pose> tracked;  // a pose to optimise on the finest levels, in place of a search
  FixedPart fixed;              // for a tracked pose; may be empty
  bool measure_fit = false;     // set Alignment::fit
};

struct Alignment {
  AffineMap rigid, affine;  // fixed mm to moving mm; affine equals rigid unless it was requested and accepted
  double nmi_before = 1, nmi_after = 1;                  // normalised mutual information: 1 independent, 2 the same
  double information_rigid = 0, information_affine = 0;  // the maximised mutual information, nats per fixed sample
  double overlap = 0;           // share of the fixed foreground and its margin that the aligned moving scan covers
  bool informative = false;     // both scans have contrast; if not, the maps are the identity
  bool rigid_complete = false;  // the rigid part is finished
  bool complete = false;        // false: time was up, the maps are the best so far
  bool affine_accepted = false;
  // How certain the pose is. Edges share no arithmetic with the mutual information (solver/align/edges.h).
  double agreement = 0;            // of the edges of the aligned scans: 1 if every edge has a counterpart
  double agreement_elsewhere = 0;  // agreement of the edges at unrelated rotations
  double rival = 0;   // evidence for the best pose elsewhere, as a share of the evidence for this one: 1 is ambiguous
  double fit = 0;     // agreement of edges at the rigid pose, on the coarsest level
  AffineMap centres;  // centre of body on centre of body, rotation of the headers
  Point centre_mm{};  // of the fixed body
  double diameter_mm = 0;                        // of the smaller body
  double finest_mm = 0;                          // spacing of the finest level,
  int levels = 0;                                // number of levels,
  std::int64_t samples = 0;                      // points on the finest level,
  double rigid_seconds = 0, affine_seconds = 0;  // wall clock; the rigid part includes the statistics and the levels
  std::int64_t evaluations = 0;                  // evaluations of the similarity
  FixedPart fixed;
};

Alignment align(const Context&, const Scan& fixed, const Scan& moving, const AlignOptions&,
                const std::function<bool()>& time_is_up);
// The same with statistics that were measured before. Those of the fixed scan, and the scan, must outlive
// Alignment::fixed.
Alignment align(const Context&, const Scan& fixed, const ScanStatistics& of_fixed, const Scan& moving,
                const ScanStatistics& of_moving, const AlignOptions&, const std::function<bool()>& time_is_up);

}  // namespace mmreg
