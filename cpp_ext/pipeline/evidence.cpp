#include "pipeline/evidence.h"

#include <algorithm>
#include <cmath>

#include "pipeline/poses.h"
#include "solver/align/plane.h"
#include "solver/deform/affine_search.h"
#include "solver/deform/dense_search.h"
#include "solver/deform/warp_moving.h"
#include "solver/math/affine_fit.h"

namespace mmreg {
namespace {

constexpr double kAcrossOfSearch = 44, kAcrossOfSearchFlat = 128;  // voxels across the body, for the search
constexpr double kFar = 0.05;                                      // diameters of the body

constexpr double kComparable = 0.25;  // share of the body that must be seen from the start
constexpr double kClearly = 0.9;      // within a voxel of the start, patterns must differ by less than this share
constexpr double kSurely = 3;         // times the agreement of edges there, or by chance: edges decide
constexpr double kDoubtful = 1.03;    // further off they may differ by more, since mutual information is higher there

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

}  // namespace

ResidualEvidence residual_evidence(const Context& context, const Scan& fixed, const Comparison& comparison,
                                   const Seen& seen, const Region& region) {
  ResidualEvidence out;
  if (!comparison.informative() || !(region.share > 0)) return out;
  const bool flat = in_plane(fixed);
  const ExtrapolatedPair filled = comparison.filled(seen);
  const double diameter_mm = comparison.fixed_statistics().diameter_mm,
               across = diameter_mm / finest(filled.input.spacing_mm);
  const Downsampled small = downsample(
      context, filled.input, std::max(1, int(std::lround(across / (flat ? kAcrossOfSearchFlat : kAcrossOfSearch)))));
  SearchSettings s;
  s.patch_radius = 1;
  s.dilation = 2;
  s.factor = 2;
  s.radius = 3;
  s.smoothing = 2;
  const DenseSearchResult found = dense_search(context, small.input, s);
  std::vector<float> u(found.u.size());
  found.u.download(u.data());
  const Buffer<std::uint8_t> coarse = pooled_validity(context, region.inside, small.factor),
                             cells = pooled_validity(context, coarse, found.factor);
  std::vector<std::uint8_t> inside(cells.size());
  cells.download(inside.data());
  const std::int64_t count = voxels(found.u.extent());
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
  const AffineFit fit = fit_affine(u, inside, found.u.extent());
  const double finest_mm = finest(cell_mm);
  out.known = true;
  out.affine_mm = fit.moved_vox * finest_mm;
  out.spread_mm = fit.residual_vox * finest_mm;
  out.far = far / double(moved_mm.size());
  out.median_mm = median(std::move(moved_mm));
  return out;
}

namespace {

// Thin structures cover too few voxels for patterns to decide, but their edges coincide in one place only.
bool edges_prefer(const Context& context, const Scan& fixed, const Scan& moving, const Comparison& comparison,
                  const AffineMap& start, const AffineMap& found) {
  const Poses poses(context, fixed, moving, comparison.fixed_statistics(), comparison.moving_statistics());
  const Contest contest = poses.edges(found);
  return contest.agreement(found) > kSurely * std::max(contest.agreement(start), contest.elsewhere());
}

}  // namespace

bool beats_start(const Context& context, MeasuredScan& fixed, MeasuredScan& moving, const AffineMap& start,
                 const AffineMap& alignment) {
  const Frames before(fixed, moving, start), after(fixed, moving, alignment);
  const Comparison comparison(context, fixed, moving, after.to_moving());
  const Seen from = comparison.through(before.to_moving()), to = comparison.through(after.to_moving());
  const Region own = comparison.region({&to}), both = comparison.region({&from, &to});
  if (!comparison.informative() || both.share < kComparable * own.share) return true;
  const double from_mind = comparison.difference(from, both), to_mind = comparison.difference(to, both);
  const ScanStatistics& s = comparison.fixed_statistics();
  const AffineMap centred = translation(s.centre_mm);
  const double apart_mm = distance(compose(start, centred), compose(alignment, centred), s.radius_mm);
  const bool close = apart_mm < finest(input_of(fixed, nullptr, nullptr).spacing_mm);
  return to_mind < (close ? kClearly : kDoubtful) * from_mind ||
         edges_prefer(context, fixed, moving, comparison, compose(start, centred), compose(alignment, centred));
}

}  // namespace mmreg
