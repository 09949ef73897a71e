#include "pipeline/evidence.h"

#include <algorithm>
#include <cmath>

#include "solver/affine_fit.h"
#include "solver/alignment_metric.h"
#include "solver/maximise.h"
#include "solver/pose.h"
#include "solver/pull.h"
#include "solver/search.h"
#include "solver/settle.h"

namespace mmreg {
namespace {

constexpr double kAcross = 24, kAcrossFlat = 48;  // samples across the body, for the poses
constexpr std::int64_t kMostSamples = 5000;
constexpr int kBins = 32, kSteps = 15;
constexpr std::size_t kClimbed = 3;  // of the turned and of the mirrored poses
constexpr double kElsewhere = 0.15;  // diameters of the body by which a map moves it: another place
constexpr double kPower = 0.5;       // of the covered share: as in the coarse levels of the alignment
constexpr double kAcrossOfSearch = 44, kAcrossOfSearchFlat = 128;  // voxels across the body, for the search
constexpr double kFar = 0.05;                                      // diameters of the body

constexpr double kComparable = 0.25;  // share of the body that must be seen from the start
constexpr double kClearly = 0.9;      // within a voxel of the start, patterns must differ by less than this share
constexpr double kDoubtful = 1.03;    // further off they may differ by more, since mutual information led there

constexpr double kNear_vox = 3, kWide_vox = 9;  // what counts as close by, and as around
constexpr double kFewest = 0.05;                // share of what is around that must lie in the region
constexpr double kLeastGain = 0.15;             // of patterns and information together

bool in_plane(const Scan& scan) { return scan.extent.d == 1 && scan.extent.h > 1 && scan.extent.w > 1; }

Point unit(const Point& p) { return (1 / length(p)) * p; }

// Of one coarse level of both scans.
class Poses {
 public:
  Poses(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving, const Survey& f,
        const Survey& m)
      : flat_(in_plane(fixed) && in_plane(moving)),
        spacing_mm_(std::min(f.diameter_mm, m.diameter_mm) / (flat_ ? kAcrossFlat : kAcross)),
        radius_mm_(f.radius_mm),
        normal_(unit(cross(column(fixed.affine, 1), column(fixed.affine, 2)))),
        fixed_(build_pyramid(operations, queue, fixed, f, {spacing_mm_})),
        moving_(build_pyramid(operations, queue, moving, m, {spacing_mm_})),
        samples_(draw_samples(operations, queue, fixed_[0], f, spacing_mm_, kMostSamples)),
        metric_(operations, queue, samples_, moving_[0], kBins, kPower) {}

  struct Reached {
    AffineMap map;
    double information;
  };

  Reached climb(const AffineMap& from) const {
    const Pose pose(from, Freedom::rigid, radius_mm_, flat_ ? &normal_ : nullptr);
    const auto height = [&](const double* x, double* gradient) {
      if (!gradient) return metric_.at(pose.at(x)).climbed;
      double by_map[12];
      const double value = metric_.at(pose.at(x), by_map).climbed;
      pose.chain(x, by_map, gradient);
      return value;
    };
    double x[Pose::most] = {};
    const double best =
        maximise(height, {spacing_mm_, 0.1 * spacing_mm_, kSteps, [] { return false; }}, pose.count(), x);
    return {pose.at(x), best};
  }

  std::vector<Reached> scored(const std::vector<AffineMap>& maps) const {
    if (maps.empty()) return {};
    const std::vector<MapScore> scores = metric_.at(maps);
    std::vector<Reached> out;
    for (std::size_t i = 0; i < maps.size(); ++i) out.push_back({maps[i], scores[i].climbed});
    return out;
  }

  bool flat() const { return flat_; }
  bool empty() const { return samples_.count == 0; }
  double moved_mm(const AffineMap& a, const AffineMap& b) const { return distance(a, b, radius_mm_); }

 private:
  const bool flat_;
  const double spacing_mm_, radius_mm_;
  const Point normal_;
  const std::vector<PyramidLevel> fixed_, moving_;
  const FixedSamples samples_;
  const AlignmentMetric metric_;
};

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

// The pose, and the one that puts body on body as the headers turn it, after half turns or, if `odd`, reflections.
std::vector<AffineMap> turns(const Scan& fixed, const Poses& poses, const AffineMap& pose, const Point& centre_mm,
                             bool odd) {
  std::vector<AffineMap> out;
  for (int axes = 1; axes < 8; ++axes) {
    if ((poses.flat() && axes & 1) || (bits(axes) % 2 == 1) != odd) continue;
    for (const AffineMap& base : {pose, translation(centre_mm)}) out.push_back(compose(base, reflection(fixed, axes)));
  }
  return out;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

}  // namespace

PoseEvidence pose_evidence(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving,
                           const Comparison& comparison, const AffineMap& pose) {
  PoseEvidence out;
  const Survey &f = comparison.fixed_survey(), &m = comparison.moving_survey();
  if (!comparison.informative()) return out;
  const Poses poses(operations, queue, fixed, moving, f, m);
  if (poses.empty()) return out;
  const AffineMap found = compose(pose, translation(f.centre_mm));
  const Poses::Reached here = poses.climb(found);
  if (!(here.information > 0)) return out;
  out.known = true, out.information = here.information, out.drift_mm = poses.moved_mm(found, here.map);
  out.body_mm = f.diameter_mm;
  double* const best[2] = {&out.turned, &out.mirrored};
  std::vector<double> all;
  // A half turn of what the headers say may be the very pose that was found.
  const auto elsewhere = [&](const AffineMap& map) {
    return poses.moved_mm(here.map, map) > kElsewhere * f.diameter_mm;
  };
  for (int odd = 0; odd < 2; ++odd) {
    std::vector<AffineMap> maps = turns(fixed, poses, here.map, m.centre_mm, odd == 1);
    maps.erase(std::remove_if(maps.begin(), maps.end(), [&](const AffineMap& map) { return !elsewhere(map); }),
               maps.end());
    std::vector<Poses::Reached> others = poses.scored(maps);
    for (const Poses::Reached& other : others) all.push_back(other.information / here.information);
    const auto better = [](const Poses::Reached& a, const Poses::Reached& b) { return a.information > b.information; };
    std::sort(others.begin(), others.end(), better);
    for (std::size_t i = 0; i < std::min(kClimbed, others.size()); ++i) {
      const Poses::Reached reached = poses.climb(others[i].map);
      if (elsewhere(reached.map)) *best[odd] = std::max(*best[odd], reached.information / here.information);
    }
  }
  out.typical = median(all);
  return out;
}

ResidualEvidence residual_evidence(const Operations& operations, Queue& queue, const Scan& fixed,
                                   const Comparison& comparison, const Seen& seen, const Region& region) {
  ResidualEvidence out;
  if (!comparison.informative() || !(region.share > 0)) return out;
  const bool flat = in_plane(fixed);
  const Filled filled = comparison.filled(seen);
  const double diameter_mm = comparison.fixed_survey().diameter_mm,
               across = diameter_mm / finest(filled.input.spacing_mm);
  const Smaller small = smaller(operations, queue, filled.input,
                                std::max(1, int(std::lround(across / (flat ? kAcrossOfSearchFlat : kAcrossOfSearch)))));
  SearchSettings s;
  s.patch_radius = 1, s.dilation = 2, s.factor = 2, s.radius = 3, s.smoothing = 2;
  const Found found = search(operations, queue, small.input, s);
  std::vector<float> u(found.u.size());
  found.u.download(u.data());
  const TableMemory<std::uint8_t> coarse = pooled_validity(operations, queue, region.inside.data(), fixed.extent,
                                                           small.factor),
                                  cells =
                                      pooled_validity(operations, queue, coarse.data(), small.input.n, found.factor);
  std::vector<std::uint8_t> inside(cells.size());
  cells.download(inside.data());
  const std::int64_t count = voxels(found.n);
  double cell_mm[3];
  for (int a = 0; a < 3; ++a) cell_mm[a] = small.input.spacing_mm[a] * found.factor.f[a];
  std::vector<double> moved_mm;
  double far = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!inside[std::size_t(i)]) continue;
    double square = 0;
    for (int a = 0; a < 3; ++a) square += std::pow(u[std::size_t(a * count + i)] * cell_mm[a], 2);
    moved_mm.push_back(std::sqrt(square));
    far += moved_mm.back() > kFar * diameter_mm;
  }
  if (moved_mm.empty()) return out;
  const AffineFit fit = fit_affine(u, inside, found.n);
  const double finest_mm = finest(cell_mm);
  out.known = true, out.affine_mm = fit.moved_vox * finest_mm, out.spread_mm = fit.missed_vox * finest_mm;
  out.far = far / double(moved_mm.size()), out.median_mm = median(std::move(moved_mm));
  return out;
}

bool beats_start(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving,
                 const AffineMap& start, const AffineMap& found) {
  const Frames before(fixed, moving, start), after(fixed, moving, found);
  const Comparison comparison(operations, queue, fixed, moving, after.to_moving());
  const Seen from = comparison.through(before.to_moving()), to = comparison.through(after.to_moving());
  const Region own = comparison.region({&to}), both = comparison.region({&from, &to});
  if (!comparison.informative() || both.share < kComparable * own.share) return true;
  const double from_mind = comparison.difference(from, both), to_mind = comparison.difference(to, both);
  const Survey& s = comparison.fixed_survey();
  const AffineMap centred = translation(s.centre_mm);
  const double apart_mm = distance(compose(start, centred), compose(found, centred), s.radius_mm);
  return to_mind < (apart_mm < finest(input_of(fixed, nullptr, nullptr).spacing_mm) ? kClearly : kDoubtful) * from_mind;
}

namespace {

// u at the points around each, without those close by, weighed by the region; fades to 0 where there is none of it.
TableMemory<float> of_surroundings(const Operations& operations, Queue& queue, const float* u, const Region& region,
                                   const DeformInput& grid) {
  const Extent n = grid.n;
  const std::int64_t count = voxels(n);
  const int length[3] = {n.d, n.h, n.w};
  int near[3], wide[3];
  double near_count = 1, wide_count = 1;
  for (int a = 0; a < 3; ++a) {
    const double share = length[a] > 1 ? finest(grid.spacing_mm) / grid.spacing_mm[a] : 0;
    near[a] = int(std::lround(kNear_vox * share)), wide[a] = int(std::lround(kWide_vox * share));
    near_count *= 2 * near[a] + 1, wide_count *= 2 * wide[a] + 1;
  }
  const TableMemory<float> weight = numbers(operations, queue, region.inside.data(), count);
  TableMemory<float> mean(operations, queue, 3 * std::size_t(count)), inner(operations, queue, mean.size()),
      all(operations, queue, weight.size()), close(operations, queue, weight.size());
  operations.combine(queue, 3 * count, 1, u, 0, u, mean.data());
  operations.multiply(queue, mean.data(), 3, count, weight.data(), mean.data());
  operations.box(queue, mean.data(), 3, n, near, inner.data());
  operations.box(queue, mean.data(), 3, n, wide, mean.data());
  operations.combine(queue, 3 * count, float(wide_count), mean.data(), float(-near_count), inner.data(), mean.data());
  operations.box(queue, weight.data(), 1, n, near, close.data());
  operations.box(queue, weight.data(), 1, n, wide, all.data());
  operations.combine(queue, count, float(wide_count), all.data(), float(-near_count), close.data(), all.data());
  const TableMemory<float> few = constant(operations, queue, count, float(kFewest * (wide_count - near_count)));
  operations.combine(queue, count, 1, all.data(), 1, few.data(), all.data());
  operations.divide(queue, mean.data(), 3, count, all.data(), mean.data());
  return mean;
}

}  // namespace

DeformationEvidence deformation_evidence(const Operations& operations, Queue& queue, const Scan& fixed,
                                         const Scan& moving, const AffineMap& affine, const float* u) {
  const Extent n = fixed.extent;
  const AffineMap to_moving = Frames(fixed, moving, affine).to_moving();
  const Comparison comparison(operations, queue, fixed, moving, to_moving);
  const Seen without = comparison.through(to_moving);
  const Change c = change(to_moving, to_moving, AffineMap());
  const auto through = [&](const float* displacement) {
    TableMemory<float> sample(operations, queue, 3 * std::size_t(voxels(n)));
    operations.add_affine(queue, displacement, n, c.linear, c.map, sample.data());
    return comparison.through(sample.data());
  };
  const Seen own = through(u);
  const Region region = comparison.region({&without, &own});
  const TableMemory<float> surroundings =
      of_surroundings(operations, queue, u, region, input_of(fixed, nullptr, nullptr));
  const Seen around = through(surroundings.data());
  const Region both = comparison.region({&without, &own, &around});
  const double mind = comparison.difference(without, both), information = comparison.information(without, both);
  DeformationEvidence out;
  out.kept = false;
  if (!comparison.informative() || !(mind > 0) || !(information > 0)) return out;
  out.patterns = 1 - comparison.difference(around, both) / mind;
  out.information = comparison.information(around, both) / information - 1;
  out.own_patterns = 1 - comparison.difference(own, both) / mind;
  out.own_information = comparison.information(own, both) / information - 1;
  const bool finer = comparison.similarity(own, both) > comparison.similarity(without, both);  // on the whole grid
  out.kept = finer && out.own_patterns > 0 && out.own_information > 0 && out.patterns + out.information > kLeastGain;
  return out;
}

}  // namespace mmreg
