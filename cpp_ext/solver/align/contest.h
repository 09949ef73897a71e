// Decides between places that were climbed, by an evidence that was not: do the edges of both scans lie on each other?
// Mutual information alone is high in wrong places where lighting varies or structures are thin, and agreement of edges
// alone where outlines are alike; the right place has both.
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
  // The measure for what edges agree in other places is what they agree after turns of `base` (of the whole circle in a
  // plane, given by its normal): these are far from each other, nearly all of them wrong.
  Contest(EdgeMetric metric, const AffineMap& base, const Point* normal);

  double elsewhere() const { return elsewhere_; }
  double agreement(const AffineMap& map) const { return metric_.at(map); }
  // Best first.
  std::vector<Contender> judged(const std::vector<Candidate>&,
                                const std::function<double(const Candidate&)>& rank) const;

 private:
  EdgeMetric metric_;
  double elsewhere_;
};

// Evidence of the best contender that is `apart_mm` or more from the first, as a share of that of the first.
double rival(const std::vector<Contender>&, double apart_mm, double radius_mm);

}  // namespace mmreg
