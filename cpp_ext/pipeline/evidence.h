// Evidence for and against a registration, independent of what the solver optimised: whether the pose is better than
// the same one turned or mirrored, whether an optimisation leads away from it, whether a dense search of patterns still
// finds motion, whether it is better than the start, and whether the deformation is better than none.
#pragma once
#include "pipeline/comparison.h"

namespace mmreg {

struct PoseEvidence {  // of the linear part of a transform
  bool known = false;
  double information = 0;  // mutual information on a coarse grid, nats per sample, after maximising it from the pose
  double drift_mm = 0;     // by which that moved the body
  double body_mm = 0;      // diameter of the body of the fixed scan
  // Agreement of edges, 1 if every edge has a counterpart: at the pose and in places far from it,
  double agreement = 0, agreement_elsewhere = 0;
  // and the mean and maximum over poses that are off by three voxels.
  double agreement_moved = 0, agreement_moved_most = 0;
  // Maxima over half turns of the pose and over reflections: information times agreement of edges, and information
  // alone, as shares of those of the pose.
  double turned = 0, mirrored = 0, turned_information = 0, mirrored_information = 0;
};

struct ResidualEvidence {  // of the linear part of a transform, by patterns (MIND-SSC)
  bool known = false;
  double affine_mm = 0;  // mean motion of the body by the affine map that fits the result of the search
  double median_mm = 0;  // of the motion of the cells of the body
  double spread_mm = 0;  // median distance between that motion and the affine map
  double far = 0;        // share of the cells that move by more than a twentieth of the body
};

PoseEvidence pose_evidence(const Context&, const Scan& fixed, const Scan& moving, const Comparison&,
                           const AffineMap& pose);  // fixed mm to moving mm

ResidualEvidence residual_evidence(const Context&, const Scan& fixed, const Comparison&, const Seen&, const Region&);

// Returns whether an alignment is better than the start: whether it brings the patterns of the scans closer. Patterns
// are independent of the mutual information that the alignment maximises.
bool beats_start(const Context&, MeasuredScan& fixed, MeasuredScan& moving, const AffineMap& start,
                 const AffineMap& alignment);

struct DeformationEvidence {
  bool kept = true;
  double patterns = 0, information = 0;          // relative gains if each point moves as its surroundings do
  double own_patterns = 0, own_information = 0;  // relative gains of the deformation itself
  double typical_vox = 0;                        // root mean square length of the deformation
  double least_gain = 0;                         // that patterns and information must reach together
};

// Returns whether the deformation u (3, fixed), in voxels, improves on the affine map alone. Patterns and information
// are what the solver optimises, so they improve wherever a displacement is free to follow noise. Therefore each point
// is moved as the points around it, but without the closest ones, whose motion follows from the same voxels: anatomy
// moves as its surroundings do, noise does not.
DeformationEvidence deformation_evidence(const Context&, MeasuredScan& fixed, MeasuredScan& moving,
                                         const AffineMap& affine, const float* u);

}  // namespace mmreg
