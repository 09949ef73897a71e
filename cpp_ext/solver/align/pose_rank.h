// Ranks poses by their mutual information and by how usual they are.
#pragma once
#include <vector>

#include "solver/align/contest.h"

namespace mmreg {

// Scans are mostly taken in a usual position: of two poses that explain the scans equally well, the one that rotates
// less is the better guess. The optimisation does not use this rank.
class PoseRank {
 public:
  // `start`: the usual pose. `reach_degrees`: the range of usual rotations about it, each way.
  PoseRank(const AffineMap& start, double reach_degrees) : start_(start), reach_degrees_(reach_degrees) {}

  double turned(const AffineMap&) const;  // angle from the usual pose, as a share of the range
  // The score, reduced by a tenth at the end of the range, and by the share `beyond` of it further out.
  double rank(const Candidate&, double beyond = 0.1) const;
  // Leaves out unusual poses unless their score clearly exceeds that of the usual ones: in 3-D there are so many
  // rotations that one agrees well by chance.
  std::vector<Candidate> without_chance(std::vector<Candidate>) const;

 private:
  AffineMap start_;
  double reach_degrees_;
};

}  // namespace mmreg
