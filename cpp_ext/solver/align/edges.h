// Edges of a scan, independent of its contrast: directions without sign, and strengths relative to each other.
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "solver/align/fixed_samples.h"

namespace mmreg {

// Edges at points, in host memory. An edge as strong as the root mean square of all has weight 0.5, a stronger one up
// to 1.
struct Edges {
  std::vector<Point> direction;  // unit vectors, in the frame of the axes of the differences
  std::vector<double> weight;    // 0 where there is no edge; NaN where the image is unknown
};

// Central differences of the image at each point (mm) along `axes` (mm; two in a plane, else three).
Edges edges(const Context&, const PyramidLevel&, const std::vector<Point>& points_mm,
            const std::vector<Point>& axes_mm);

// How well edges of two scans coincide in place and direction: evidence that shares no arithmetic with mutual
// information, based on the angles of Pluim, Maintz and Viergever ("Image registration by maximization of combined
// mutual information and gradient information", 2000). 1 if every edge has a counterpart, about 0 for unrelated scans;
// times the square root of the share of points at which both are known.
double agreement(const Edges&, const Edges&, int dims);

struct FixedEdges {
  std::vector<Point> points_mm;  // from the centre of the body
  std::vector<Point> axes_mm;    // of the differences
  Edges edges;
};

// The samples are of the fixed level, their points in mm from `centre_mm`. `axes`: unit vectors that span the plane or
// the space.
FixedEdges fixed_edges(const Context&, const FixedSamples&, const PyramidLevel& fixed, const Point& centre_mm,
                       double reach_mm, const std::vector<Point>& axes);

// The agreement of two levels as a function of the map between them.
class EdgeMetric {
 public:
  EdgeMetric(const Context& context, std::shared_ptr<const FixedEdges> fixed, const PyramidLevel& moving)
      : context_(context), moving_(moving), fixed_(std::move(fixed)) {}

  double at(const AffineMap&) const;  // points of the samples to mm of the moving scan

 private:
  Context context_;
  const PyramidLevel& moving_;
  std::shared_ptr<const FixedEdges> fixed_;
};

}  // namespace mmreg
