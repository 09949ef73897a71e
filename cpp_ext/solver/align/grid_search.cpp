#include "solver/align/grid_search.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

std::vector<Point> rotation_vectors(const PoseGrid& grid) {
  const int reach = int(grid.reach_degrees / grid.step_degrees);
  std::vector<Point> out;
  for (int a = -reach; a <= reach; ++a) {
    if (grid.normal) {
      out.push_back((a * grid.step_degrees * kRadiansPerDegree) * *grid.normal);
      continue;
    }
    for (int b = -reach; b <= reach; ++b)
      for (int c = -reach; c <= reach; ++c)
        if (a * a + b * b + c * c <= reach * reach)
          out.push_back((grid.step_degrees * kRadiansPerDegree) * Point{{double(a), double(b), double(c)}});
  }
  return out;
}

std::vector<Point> shifts(const PoseGrid& grid) {
  std::vector<Point> out;
  for (int a = -1; a <= 1; ++a)
    for (int b = -1; b <= 1; ++b)
      for (int c = -1; c <= 1; ++c) {
        Point p = grid.shift_mm * Point{{double(a), double(b), double(c)}};
        if (grid.normal) p = p - dot(p, *grid.normal) * *grid.normal;
        out.push_back(p);
      }
  return out;
}

}  // namespace

std::vector<Candidate> distinct(std::vector<Candidate> all, const std::function<double(const Candidate&)>& rank,
                                std::size_t keep, double apart_mm, double radius_mm) {
  std::stable_sort(all.begin(), all.end(), [&](const Candidate& a, const Candidate& b) { return rank(a) > rank(b); });
  std::vector<Candidate> kept;
  for (const Candidate& c : all) {
    const auto same = [&](const Candidate& k) { return distance(k.map, c.map, radius_mm) < apart_mm; };
    if (kept.size() < keep && std::none_of(kept.begin(), kept.end(), same)) kept.push_back(c);
  }
  return kept;
}

std::vector<Candidate> search_poses(const AlignmentMetric& metric, const AffineMap& centre, const PoseGrid& grid,
                                    const std::function<bool()>& stop) {
  std::vector<Candidate> out;
  for (const Point& vector : rotation_vectors(grid)) {
    if (stop()) break;
    std::vector<AffineMap> maps;
    for (const Point& shift : shifts(grid))
      maps.push_back(compose(translation(shift), compose(centre, rotation(vector))));
    const std::vector<MapScore> scores = metric.at(maps);
    for (std::size_t i = 0; i < maps.size(); ++i) out.push_back({maps[i], scores[i].climbed});
  }
  return out;
}

double maximise_information(const AlignmentMetric& metric, const MotionParameters& pose, const BfgsOptions& how,
                            double* x) {
  const auto height = [&](const double* at, double* gradient) {
    if (!gradient) return metric.at(pose.at(at)).climbed;
    double by_map[12];
    const double value = metric.at(pose.at(at), by_map).climbed;
    pose.chain(at, by_map, gradient);
    return value;
  };
  return bfgs(height, how, pose.count(), x);
}

}  // namespace mmreg
