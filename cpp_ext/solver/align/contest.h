// Decides between optimised poses by evidence that was not optimised: whether the edges of both scans coincide. Mutual
// information alone is high in wrong places where lighting varies or structures are thin, and agreement of edges alone
// where outlines are alike; the right place has both.
#pragma once
#include <vector>

#include "solver/align/edges.h"
#include "solver/align/grid_search.h"

namespace mmreg {

struct Contender {
  Candidate pose;
  double agreement, evidence;
};

class Contest {
 public:
  // The reference is the agreement of edges after rotations of `base` (around the full circle in a plane with this
  // normal): they are far apart, and nearly all of them are wrong.
  Contest(EdgeMetric metric, const AffineMap& base, const Point* normal);
  Contest(EdgeMetric metric, double elsewhere) : metric_(std::move(metric)), elsewhere_(elsewhere) {}

  double elsewhere() const { return elsewhere_; }
  double agreement(const AffineMap& map) const { return metric_.at(map); }
  // Sorted, best first.
  std::vector<Contender> judged(const std::vector<Candidate>&,
                                const std::function<double(const Candidate&)>& rank) const;

 private:
  EdgeMetric metric_;
  double elsewhere_;
};

// Evidence of the best contender at least `apart_mm` from the first, as a share of the evidence of the first.
double rival(const std::vector<Contender>&, double apart_mm, double radius_mm);

}  // namespace mmreg
