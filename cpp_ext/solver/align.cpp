#include "solver/align.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "solver/affine_fit.h"
#include "solver/maximise.h"
#include "solver/pose_search.h"

namespace mmreg {
namespace {

// The coarse levels must not let the scans slide apart; the fine ones must not stretch one to cover more of the other.
double overlap_power(int level_from_coarsest) { return level_from_coarsest < 2 ? 0.5 : 0.2; }

constexpr double degree = 0.017453292519943295;

struct Resolution {  // of both scans
  const PyramidLevel& fixed;
  const PyramidLevel& moving;
  FixedSamples samples;
  AlignmentMetric metric;

  Resolution(const Operations& operations, Queue& queue, const PyramidLevel& fixed_level,
             const PyramidLevel& moving_level, const Survey& survey, double spacing_mm, std::int64_t most, double power)
      : fixed(fixed_level),
        moving(moving_level),
        samples(draw_samples(operations, queue, fixed_level, survey, spacing_mm, most)),
        metric(operations, queue, samples, moving_level, samples.count < 4000 ? 16 : 32, power) {}
};

bool in_plane(const Scan& scan) { return scan.extent.d == 1 && scan.extent.h > 1 && scan.extent.w > 1; }

Point plane_normal(const AffineMap& affine) {
  const Point n = cross(column(affine, 1), column(affine, 2));
  return (1 / length(n)) * n;
}

class Aligner {
 public:
  Aligner(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving,
          const AlignOptions& options, const std::function<bool()>& time_is_up)
      : operations_(operations),
        queue_(queue),
        fixed_(fixed),
        moving_(moving),
        options_(options),
        time_is_up_(time_is_up) {}

  Alignment run();

 private:
  std::vector<double> spacings() const;
  void prepare();
  Resolution& resolution(std::size_t k);
  void align_rigid(Alignment&);
  void align_affine(Alignment&);
  void describe(Alignment&) const;
  void place();
  const Point* normal() const { return flat_ ? &normal_ : nullptr; }

  double rank(const Candidate&) const;
  std::vector<Candidate> best(const std::vector<Candidate>&, std::size_t keep, double apart_mm) const;
  std::vector<Candidate> search(Resolution&);
  Candidate climb(Resolution&, const Candidate&, Freedom, double step_mm, double last_mm, int steps);
  AffineMap whole(const AffineMap& map) const { return compose(map, translation(-1 * fixed_survey_.centre_mm)); }

  const Operations& operations_;
  Queue& queue_;
  const Scan& fixed_;
  const Scan& moving_;
  const AlignOptions& options_;
  const std::function<bool()>& time_is_up_;
  Survey fixed_survey_, moving_survey_;
  std::vector<double> spacings_mm_;
  std::vector<PyramidLevel> fixed_levels_, moving_levels_;
  bool flat_ = false;
  Point normal_{};
  std::vector<std::unique_ptr<Resolution>> resolutions_;  // coarsest first
  Candidate rigid_, affine_;                              // the best so far
  AffineMap start_, header_;  // samples to moving mm: centre on centre, and as the headers say
};

// From a twentieth of the body (in 2-D a fortieth) down by halves to a 160th or the voxels of the finer scan.
std::vector<double> Aligner::spacings() const {
  const double body_mm = std::min(fixed_survey_.diameter_mm, moving_survey_.diameter_mm);
  double voxel_mm = 1e300;
  for (int k = 0; k < 3; ++k) {
    const bool wide[2] = {(k == 0   ? fixed_.extent.d
                           : k == 1 ? fixed_.extent.h
                                    : fixed_.extent.w) > 1,
                          (k == 0   ? moving_.extent.d
                           : k == 1 ? moving_.extent.h
                                    : moving_.extent.w) > 1};
    if (wide[0]) voxel_mm = std::min(voxel_mm, fixed_survey_.spacing_mm[k]);
    if (wide[1]) voxel_mm = std::min(voxel_mm, moving_survey_.spacing_mm[k]);
  }
  const double finest_mm = std::max(voxel_mm, body_mm / 160);
  std::vector<double> out = {std::max(finest_mm, body_mm / (flat_ ? 40 : 20))};
  while (out.front() > 1.5 * finest_mm) out.insert(out.begin(), std::max(finest_mm, 0.5 * out.front()));
  return out;
}

// In a plane, the plane of the fixed scan is turned and shifted onto that of the moving one.
void Aligner::place() {
  if (flat_) normal_ = plane_normal(fixed_survey_.affine);
  const Point to = flat_ ? plane_normal(moving_survey_.affine) : Point{};
  AffineMap map;
  if (flat_) map = rotation_between(normal_, dot(normal_, to) < 0 ? -1 * to : to);
  const Point from_header = fixed_survey_.centre_mm, centre = moving_survey_.centre_mm;
  start_ = header_ = map;
  set_column(start_, 3, centre);
  rigid_ = affine_ = {start_, 0};
  set_column(header_, 3, from_header + dot(centre - from_header, to) * to);
}

void Aligner::prepare() {
  spacings_mm_ = spacings();
  fixed_levels_ = build_pyramid(operations_, queue_, fixed_, fixed_survey_, spacings_mm_);
  moving_levels_ = build_pyramid(operations_, queue_, moving_, moving_survey_, spacings_mm_);
}

Candidate Aligner::climb(Resolution& stage, const Candidate& from, Freedom freedom, double step_mm, double last_mm,
                         int steps) {
  const Pose pose(from.map, freedom, fixed_survey_.radius_mm, normal());
  const auto height = [&](const double* x, double* gradient) {
    const AffineMap map = pose.at(x);
    if (!gradient) return stage.metric.at(map).climbed;
    double by_map[12];
    const double value = stage.metric.at(map, by_map).climbed;
    pose.chain(x, by_map, gradient);
    return value;
  };
  const MapScore before = stage.metric.at(from.map);
  double x[Pose::most] = {};
  const double score = maximise(height, {step_mm, last_mm, steps, time_is_up_}, pose.count(), x);
  if (stage.metric.at(pose.at(x)).covered < 0.6 * before.covered) return {from.map, before.climbed};  // slid apart
  return {pose.at(x), score};
}

// Scans are mostly taken in a usual position: of two poses that explain the scans alike, the one that turns less is
// the better guess. A tenth at the end of the reach; the climbs do not know of it.
double Aligner::rank(const Candidate& c) const {
  const AffineMap turn = compose(invert(start_), c.map);
  const double cosine = 0.5 * (turn(0, 0) + turn(1, 1) + turn(2, 2) - 1);
  const double share = std::acos(std::min(1.0, std::max(-1.0, cosine))) / (options_.reach_degrees * degree);
  return c.score * (1 - 0.1 * share * share);
}

std::vector<Candidate> Aligner::best(const std::vector<Candidate>& all, std::size_t keep, double apart_mm) const {
  return distinct(all, [this](const Candidate& c) { return rank(c); }, keep, apart_mm, fixed_survey_.radius_mm);
}

// A wide net around centre on centre, and a narrow one around the place that the headers give.
std::vector<Candidate> Aligner::search(Resolution& stage) {
  const double body_mm = std::min(fixed_survey_.diameter_mm, moving_survey_.diameter_mm), step_mm = spacings_mm_.back();
  const double turn = flat_ ? 5 : 15;
  const Net wide = {options_.reach_degrees, turn, 0.1 * body_mm, normal()};
  const Net narrow = {turn, turn, 0.1 * body_mm, normal()};
  std::vector<Candidate> found = search_poses(stage.metric, start_, wide, time_is_up_);
  std::vector<Candidate> near = search_poses(stage.metric, header_, narrow, time_is_up_);
  found = best(found, 10, 1.5 * step_mm), near = best(near, 2, 1.5 * step_mm);
  found.insert(found.end(), near.begin(), near.end());
  for (Candidate& c : found) c = climb(stage, c, Freedom::rigid, step_mm, 0.1 * step_mm, 20);
  return found;
}

// The resolutions are made one by one, coarsest first, when they are first needed.
Resolution& Aligner::resolution(std::size_t k) {
  constexpr std::int64_t most[] = {4000, 16000, 50000, 100000, 150000};
  while (resolutions_.size() <= k) {
    const std::size_t next = resolutions_.size(), level = spacings_mm_.size() - 1 - next;
    resolutions_.push_back(std::make_unique<Resolution>(
        operations_, queue_, fixed_levels_[level], moving_levels_[level], fixed_survey_, spacings_mm_[level],
        most[std::min<std::size_t>(next, 4)], overlap_power(int(next))));
  }
  return *resolutions_[k];
}

void Aligner::align_rigid(Alignment& out) {
  std::vector<Candidate> poses;
  for (std::size_t k = 0; k < spacings_mm_.size() && !time_is_up_(); ++k) {
    const double mm = spacings_mm_[spacings_mm_.size() - 1 - k];
    Resolution& at = resolution(k);
    if (k == 0) poses = search(at);
    for (Candidate& c : poses)
      if (k > 0) c = climb(at, c, Freedom::rigid, mm, 0.05 * mm, 25);
    poses = best(poses, k == 0 ? 4 : k == 1 ? 2 : 1, mm);
    if (!poses.empty()) rigid_ = poses[0];  // none if time was up before the first was scored
  }
  out.rigid_complete = !time_is_up_();
  out.rigid = out.affine = whole(rigid_.map);
}

// From the rigid pose, without the coarsest level; accepted on the finest one only.
void Aligner::align_affine(Alignment& out) {
  const std::size_t finest = spacings_mm_.size() - 1;
  affine_ = rigid_;
  for (std::size_t k = std::min<std::size_t>(1, finest); k <= finest && !time_is_up_(); ++k) {
    const double mm = spacings_mm_[finest - k];
    Resolution& at = resolution(k);
    const bool better = plausible(affine_.map) && at.metric.at(affine_.map).climbed > at.metric.at(rigid_.map).climbed;
    affine_ = climb(at, better ? affine_ : rigid_, Freedom::affine, mm, 0.05 * mm, 30);
  }
  if (time_is_up_()) return;
  out.affine_accepted = plausible(affine_.map) && affine_.score > rigid_.score;
  if (out.affine_accepted) out.affine = whole(affine_.map);
  out.information_affine = affine_.score;
}

void Aligner::describe(Alignment& out) const {
  if (resolutions_.empty()) return;
  const Resolution& at = *resolutions_.back();
  const MapScore before = at.metric.at(translation(fixed_survey_.centre_mm));
  const MapScore after = at.metric.at(out.affine_accepted ? affine_.map : rigid_.map);
  out.information_rigid = rigid_.score;
  out.similarity_before = before.normalised, out.similarity_after = after.normalised, out.overlap = after.covered;
  out.levels = int(spacings_mm_.size()), out.finest_mm = spacings_mm_.front(), out.samples = at.samples.count;
  for (const auto& r : resolutions_) out.evaluations += r->metric.evaluations();
}

Alignment Aligner::run() {
  Alignment out;
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  const Clock::time_point start = Clock::now();
  fixed_survey_ = survey(operations_, queue_, fixed_);
  moving_survey_ = survey(operations_, queue_, moving_);
  flat_ = in_plane(fixed_) && in_plane(moving_);
  out.informative = !fixed_survey_.flat && !moving_survey_.flat;
  out.complete = out.rigid_complete = options_.kind == AlignKind::none || !out.informative;
  if (out.complete) return out;
  place();
  out.rigid = out.affine = out.centres = whole(start_);
  out.centre_mm = fixed_survey_.centre_mm;
  out.diameter_mm = std::min(fixed_survey_.diameter_mm, moving_survey_.diameter_mm);
  if (time_is_up_()) return out;
  prepare();
  align_rigid(out);
  out.rigid_seconds = seconds(start);
  const Clock::time_point between = Clock::now();
  if (options_.kind == AlignKind::affine) align_affine(out);
  out.complete = !time_is_up_();
  describe(out);
  out.affine_seconds = seconds(between);
  return out;
}

}  // namespace

Alignment align(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving,
                const AlignOptions& options, const std::function<bool()>& time_is_up) {
  return Aligner(operations, queue, fixed, moving, options, time_is_up).run();
}

}  // namespace mmreg
