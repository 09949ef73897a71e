// What speaks for and against a registration, by other means than those that found it: is the pose better than the same
// one turned or mirrored, does a climb lead away from it, does a dense search of patterns still find motion, is it
// better than the start, and is the deformation better than none?
#pragma once
#include "pipeline/comparison.h"

namespace mmreg {

struct PoseEvidence {  // of the linear part of a transform
  bool known = false;
  double information = 0;  // mutual information on a coarse grid, nats per sample, after a climb from the pose
  double drift_mm = 0;     // by which that climb moved the body
  double body_mm = 0;      // diameter of the body of the fixed scan
  // Of edges, 1 where every edge has its like: at the pose, in places far from it,
  double agreement = 0, agreement_elsewhere = 0;
  // and at poses that are off by three voxels, in the mean and at most.
  double agreement_moved = 0, agreement_moved_most = 0;
  // The most that is reached from half turns of the pose and from reflections: information times agreement of edges,
  // and information alone, as shares of those of the pose.
  double turned = 0, mirrored = 0, turned_information = 0, mirrored_information = 0;
};

struct ResidualEvidence {  // of the linear part of a transform, by patterns (MIND-SSC)
  bool known = false;
  double affine_mm = 0;  // mean motion of the body by the affine map that the search agrees on
  double median_mm = 0;  // of the motion of the cells of the body
  double spread_mm = 0;  // median distance between that motion and the affine map
  double far = 0;        // share of the cells that move by more than a twentieth of the body
};

PoseEvidence pose_evidence(const Context&, const Scan& fixed, const Scan& moving, const Comparison&,
                           const AffineMap& pose);  // fixed mm to moving mm

ResidualEvidence residual_evidence(const Context&, const Scan& fixed, const Comparison&, const Seen&, const Region&);

// The alignment that is worth returning: that which was found, if it brings the patterns of the scans closer than
// `start` does, else the start. It was found by mutual information.
bool beats_start(const Context&, const Scan& fixed, const Scan& moving, const AffineMap& start, const AffineMap& found);

struct DeformationEvidence {
  bool kept = true;
  double patterns = 0, information = 0;          // relative gains where each point moves as its surroundings do
  double own_patterns = 0, own_information = 0;  // and where it moves as it was found to
};

// Does the deformation u (3, fixed), in voxels, improve on the affine map alone? Patterns and information are what it
// was found by, and improve wherever it is free to. So each point is moved as the points around it are, but not those
// close by, whose motion was found from the same voxels: anatomy moves as its surroundings do, noise does not.
DeformationEvidence deformation_evidence(const Context&, const Scan& fixed, const Scan& moving, const AffineMap& affine,
                                         const float* u);

}  // namespace mmreg
