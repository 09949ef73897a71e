#include <algorithm>
#include <cmath>

#include "pipeline/evidence.h"
#include "pipeline/poses.h"

namespace mmreg {
namespace {

constexpr std::size_t kClimbed = 3;  // of the turned and of the mirrored poses
constexpr double kElsewhere = 0.15;  // diameters of the body by which a map moves it: another place

Point unit(const Point& p) { return (1 / length(p)) * p; }

// Reflections along the axes of the grid, one or several: bit a of `axes` for axis a. Two of them are a half turn.
AffineMap reflection(const Scan& scan, int axes) {
  AffineMap r;
  for (int a = 0; a < 3; ++a) {
    if (!(axes >> a & 1)) continue;
    const Point e = unit(column(scan.affine, a));
    AffineMap one;
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) one(i, j) = (i == j) - 2 * e.x[i] * e.x[j];
    r = compose(one, r);
  }
  return r;
}

int bits(int value) { return (value & 1) + (value >> 1 & 1) + (value >> 2 & 1); }

// Returns the pose, and the one that puts centre on centre with the rotation of the headers, after half turns or, if
// `odd`, reflections.
std::vector<AffineMap> turns(const Scan& fixed, const Poses& poses, const AffineMap& pose, const Point& centre_mm,
                             bool odd) {
  std::vector<AffineMap> out;
  for (int axes = 1; axes < 8; ++axes) {
    if ((poses.flat() && axes & 1) || (bits(axes) % 2 == 1) != odd) continue;
    for (const AffineMap& base : {pose, translation(centre_mm)}) out.push_back(compose(base, reflection(fixed, axes)));
  }
  return out;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / double(values.size());
}

// Measures the agreement of edges at the pose and at poses around it.
void edges_around(const Poses& poses, const Contest& contest, const AffineMap& pose, PoseEvidence& out) {
  std::vector<double> moved;
  for (const AffineMap& map : poses.around(pose)) moved.push_back(contest.agreement(map));
  out.agreement = contest.agreement(pose);
  out.agreement_elsewhere = contest.elsewhere();
  out.agreement_moved = mean(moved);
  out.agreement_moved_most = *std::max_element(moved.begin(), moved.end());
}

// The maxima over other poses, as shares of the values at this one.
struct Rivals {
  double information = 0, evidence = 0;
};

Rivals rivals(const Poses& poses, const Contest& contest, const Poses::Reached& here, const AffineMap& found,
              std::vector<AffineMap> maps, double elsewhere_mm) {
  const auto same = [&](const AffineMap& map) { return poses.moved_mm(here.map, map) <= elsewhere_mm; };
  // A half turn of the headers may be the pose itself.
  maps.erase(std::remove_if(maps.begin(), maps.end(), same), maps.end());
  std::vector<Poses::Reached> others = poses.scored(maps);
  const auto better = [](const Poses::Reached& a, const Poses::Reached& b) { return a.information > b.information; };
  std::sort(others.begin(), others.end(), better);
  const auto evidence = [&](const Poses::Reached& r) {
    return r.information * (std::max(0.0, contest.agreement(r.map)) + contest.elsewhere());
  };
  const double own = std::max(evidence(here), evidence(poses.scored({found})[0]));
  Rivals out;
  for (std::size_t i = 0; i < std::min(kClimbed, others.size()); ++i) {
    const Poses::Reached reached = poses.climb(others[i].map);
    if (same(reached.map)) continue;
    out.information = std::max(out.information, reached.information / here.information);
    out.evidence = std::max(out.evidence, evidence(reached) / own);
  }
  return out;
}

}  // namespace

PoseEvidence pose_evidence(const Context& context, const Scan& fixed, const Scan& moving, const Comparison& comparison,
                           const AffineMap& pose) {
  PoseEvidence out;
  const ScanStatistics &f = comparison.fixed_statistics(), &m = comparison.moving_statistics();
  if (!comparison.informative()) return out;
  const Poses poses(context, fixed, moving, f, m);
  if (poses.empty()) return out;
  const AffineMap found = compose(pose, translation(f.centre_mm));
  const Poses::Reached here = poses.climb(found);
  if (!(here.information > 0)) return out;
  out.known = true;
  out.information = here.information;
  out.drift_mm = poses.moved_mm(found, here.map);
  out.body_mm = f.diameter_mm;
  const Contest contest = poses.edges(found);
  edges_around(poses, contest, found, out);
  const auto reached = [&](bool odd) {
    return rivals(poses, contest, here, found, turns(fixed, poses, here.map, m.centre_mm, odd),
                  kElsewhere * f.diameter_mm);
  };
  const Rivals turned = reached(false), mirrored = reached(true);
  out.turned = turned.evidence;
  out.turned_information = turned.information;
  out.mirrored = mirrored.evidence;
  out.mirrored_information = mirrored.information;
  return out;
}

}  // namespace mmreg
