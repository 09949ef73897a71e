#include "pipeline/poses.h"

#include <algorithm>
#include <cmath>

#include "solver/align/plane.h"

namespace mmreg {
namespace {

constexpr double kAcross = 24, kAcrossFlat = 48;             // samples across the body, for information,
constexpr double kAcrossEdges = 60, kAcrossEdgesFlat = 160;  // and for edges
constexpr double kOff_vox = 3;                               // error that a result may have
constexpr std::int64_t kMostSamples = 5000, kMostEdges = 4000;
constexpr int kBins = 32, kSteps = 15;
constexpr double kPower = 0.5;  // of the covered share: as in the coarse levels of the alignment

double across(const ScanStatistics& f, const ScanStatistics& m, double count) {
  return std::min(f.diameter_mm, m.diameter_mm) / count;
}

}  // namespace

Poses::Poses(const Context& context, const Scan& fixed, const Scan& moving, const ScanStatistics& f,
             const ScanStatistics& m)
    : context_(context),
      flat_(in_plane(fixed) && in_plane(moving)),
      voxel_mm_(finest_spacing_mm(fixed, f)),
      fine_mm_(std::max(voxel_mm_, across(f, m, flat_ ? kAcrossEdgesFlat : kAcrossEdges))),
      coarse_mm_(std::max(fine_mm_, across(f, m, flat_ ? kAcrossFlat : kAcross))),
      radius_mm_(f.radius_mm),
      centre_mm_(f.centre_mm),
      normal_(plane_normal(fixed.affine)),
      fixed_(build_pyramid(context, fixed, f, {fine_mm_, coarse_mm_})),
      moving_(build_pyramid(context, moving, m, {fine_mm_, coarse_mm_})),
      samples_(draw_samples(context, fixed_[1], f, coarse_mm_, kMostSamples)),
      few_(draw_samples(context, fixed_[0], f, fine_mm_, kMostEdges)),
      metric_(context, samples_, moving_[1], kBins, kPower) {}

Poses::Reached Poses::climb(const AffineMap& from) const {
  const MotionParameters pose(from, Freedom::rigid, radius_mm_, normal());
  double x[MotionParameters::kMost] = {};
  const double best =
      maximise_information(metric_, pose, {coarse_mm_, 0.1 * coarse_mm_, kSteps, [] { return false; }}, x);
  return {pose.at(x), best};
}

std::vector<Poses::Reached> Poses::scored(const std::vector<AffineMap>& maps) const {
  if (maps.empty()) return {};
  const std::vector<MapScore> scores = metric_.at(maps);
  std::vector<Reached> out;
  for (std::size_t i = 0; i < maps.size(); ++i) out.push_back({maps[i], scores[i].climbed});
  return out;
}

Contest Poses::edges(const AffineMap& pose) const {
  const auto edges = std::make_shared<const FixedEdges>(
      fixed_edges(context_, few_, fixed_[0], centre_mm_, fine_mm_, spanning(normal())));
  return Contest(EdgeMetric(context_, edges, moving_[0]), pose, normal());
}

std::vector<AffineMap> Poses::around(const AffineMap& pose) const {
  const double off_mm = std::max(kOff_vox * voxel_mm_, 2 * fine_mm_);
  std::vector<AffineMap> out;
  for (const double sign : {1.0, -1.0}) {
    for (const Point& axis : spanning(normal())) out.push_back(compose(pose, translation(sign * off_mm * axis)));
    for (const Point& axis : flat_ ? std::vector<Point>{normal_} : spanning(nullptr))
      out.push_back(compose(pose, rotation(sign * off_mm / radius_mm_ * axis)));
  }
  return out;
}

}  // namespace mmreg
