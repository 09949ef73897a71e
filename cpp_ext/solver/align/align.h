// Rigid and affine alignment of two scans of any modality: a survey of each, a search over poses on a coarse level, and
// climbs of the mutual information from coarse to fine, first rigid, then affine.
#pragma once
#include <functional>

#include "solver/align/scan_statistics.h"

namespace mmreg {

enum class AlignKind : int { none, rigid, affine };

struct AlignOptions {
  AlignKind kind = AlignKind::affine;
  double reach_degrees = 45;  // of the search for the rotation, each way around the one in the headers
};

struct Alignment {
  AffineMap rigid, affine;  // fixed mm to moving mm; affine equals rigid where it was not wanted or not accepted
  double nmi_before = 1, nmi_after = 1;                  // normalised mutual information: 1 independent, 2 the same
  double information_rigid = 0, information_affine = 0;  // what was climbed: mutual information, nats per fixed sample
  double overlap = 0;           // share of the fixed foreground and its margin that the moving scan covers afterwards
  bool informative = false;     // both scans have contrast; if not, the maps are the identity
  bool rigid_complete = false;  // the rigid part is finished
  bool complete = false;        // false: time was up, the maps are the best so far
  bool affine_accepted = false;
  // How sure the place is. Edges share no arithmetic with the information that was climbed (solver/align/edges.h).
  double agreement = 0;            // of the edges of both scans, afterwards: 1 where every edge has its like
  double agreement_elsewhere = 0;  // what scans that are turned away from each other reach
  double rival = 0;   // evidence for the best other place that was found, as a share of that for this one: 1 ambiguous
  AffineMap centres;  // body on body, turned as the headers say
  Point centre_mm{};  // of the fixed body
  double diameter_mm = 0;                        // of the smaller body
  double finest_mm = 0;                          // chosen: spacing of the finest level,
  int levels = 0;                                // number of levels,
  std::int64_t samples = 0;                      // points on the finest level,
  double rigid_seconds = 0, affine_seconds = 0;  // wall clock; the rigid part includes the survey and the levels
  std::int64_t evaluations = 0;                  // similarities measured
};

Alignment align(const Context&, const Scan& fixed, const Scan& moving, const AlignOptions&,
                const std::function<bool()>& time_is_up);

}  // namespace mmreg
