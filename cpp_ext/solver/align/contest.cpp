#include "solver/align/contest.h"

#include <algorithm>
#include <cmath>

#include "solver/align/wide_search.h"

namespace mmreg {
namespace {

constexpr int kRotations = 8;
constexpr double kLeast = 0.01;  // agreement that chance always explains

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

}  // namespace

Contest::Contest(EdgeMetric metric, const AffineMap& base, const Point* normal) : metric_(std::move(metric)) {
  std::vector<double> agreements;
  for (const AffineMap& turn : rotations(kRotations, normal))
    agreements.push_back(std::fabs(metric_.at(compose(base, turn))));
  elsewhere_ = std::max(kLeast, median_of(agreements));
}

std::vector<Contender> Contest::judged(const std::vector<Candidate>& all,
                                       const std::function<double(const Candidate&)>& rank) const {
  std::vector<Contender> out;
  for (const Candidate& c : all) {
    const double agreement_here = agreement(c.map);
    out.push_back({c, agreement_here, rank(c) * (std::max(0.0, agreement_here) + elsewhere_)});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Contender& a, const Contender& b) { return a.evidence > b.evidence; });
  return out;
}

double rival(const std::vector<Contender>& judged, double apart_mm, double radius_mm) {
  for (const Contender& c : judged)
    if (distance(c.pose.map, judged[0].pose.map, radius_mm) >= apart_mm)
      return judged[0].evidence > 0 ? c.evidence / judged[0].evidence : 1;
  return 0;
}

}  // namespace mmreg
