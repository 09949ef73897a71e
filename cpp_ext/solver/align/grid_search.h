// Searches for start poses of the optimisation: a grid of rotations and shifts around the centres of both scans.
#pragma once
#include <functional>

#include "solver/align/motion_parameters.h"
#include "solver/align/mutual_information.h"
#include "solver/math/bfgs.h"

namespace mmreg {

struct Candidate {
  AffineMap map;  // points of the samples to mm of the moving scan
  double score;
};

// Returns up to `keep` poses of the highest rank that differ by at least `apart_mm`, best first.
std::vector<Candidate> distinct(std::vector<Candidate>, const std::function<double(const Candidate&)>& rank,
                                std::size_t keep, double apart_mm, double radius_mm);

struct PoseGrid {
  double reach_degrees, step_degrees;  // of the rotation, each way
  double shift_mm;                     // step of the shifts, one each way along every axis
  const Point* normal;                 // of the plane, in 2-D; null in 3-D
};

// Scores every pose of the grid around `centre`.
std::vector<Candidate> search_poses(const AlignmentMetric&, const AffineMap& centre, const PoseGrid&,
                                    const std::function<bool()>& stop);

// Moves the parameters `x` to a maximum of the mutual information and returns its value.
double maximise_information(const AlignmentMetric&, const MotionParameters&, const BfgsOptions&, double* x);

}  // namespace mmreg
