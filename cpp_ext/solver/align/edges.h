// Edges of a scan without regard to its contrast: directions without sign, and how strong each is beside the others.
#pragma once
#include <vector>

#include "solver/align/fixed_samples.h"

namespace mmreg {

// At points, host memory. An edge as strong as the root mean square of all has weight a half, a stronger one up to 1.
struct Edges {
  std::vector<Point> direction;  // unit vectors, in the frame of the axes that they were taken along
  std::vector<double> weight;    // 0 where there is no edge; NaN where the image is not known
};

// Differences of the image over `axes` (mm; two in a plane, else three) both ways around each point (mm).
Edges edges(const Context&, const PyramidLevel&, const std::vector<Point>& points_mm,
            const std::vector<Point>& axes_mm);

// Whether edges of two scans lie on each other and run the same way: an evidence that shares no arithmetic with mutual
// information, after the angles of Pluim, Maintz and Viergever ("Image registration by maximization of combined mutual
// information and gradient information", 2000). 1 where every edge has its like, about 0 for scans that know nothing
// of each other; times the square root of the share of points at which both are known.
double agreement(const Edges&, const Edges&, int dims);

// The agreement of two levels as a function of the map between them.
class EdgeMetric {
 public:
  // The samples are of the fixed level, their points in mm from `centre_mm`. `axes`: unit vectors that span the plane
  // or the space.
  EdgeMetric(const Context&, const FixedSamples&, const PyramidLevel& fixed, const Point& centre_mm,
             const PyramidLevel& moving, double reach_mm, const std::vector<Point>& axes);

  double at(const AffineMap&) const;  // points of the samples to mm of the moving scan

 private:
  Context context_;
  const PyramidLevel& moving_;
  std::vector<Point> points_, axes_mm_;
  Edges fixed_;
};

}  // namespace mmreg
