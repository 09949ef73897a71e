#include "solver/align/align.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "solver/align/edge_search.h"
#include "solver/align/levels.h"
#include "solver/align/plane.h"
#include "solver/align/pose_rank.h"
#include "solver/align/wide_search.h"
#include "solver/math/affine_fit.h"

namespace mmreg {
namespace {

constexpr double kSure = 3;           // times the agreement elsewhere: the edges are certainly aligned
constexpr double kKeptShare = 0.8;    // share of the agreement that an optimisation must keep, or it is rejected
constexpr double kFinestStep = 0.05;  // of the first step
constexpr double kEqualShare = 0.85;  // share of the evidence for the best pose that counts as equal
constexpr double kApart = 0.1;        // diameters of the body: poses further apart are different places
// A pose beyond the usual rotations must be better than a usual one by this: slices are rotated more often than bodies.
constexpr double kUnusual = 0.2, kUnusualSlice = 0.03;
constexpr std::size_t kTrackedLevels = 2;    // the finest ones, for a tracked pose
constexpr std::int64_t kWideSamples = 1500;  // for the search over all rotations

class Aligner {
 public:
  Aligner(const Context& context, const Scan& fixed, const ScanStatistics& of_fixed, const Scan& moving,
          const ScanStatistics& of_moving, const AlignOptions& options, const std::function<bool()>& time_is_up)
      : context_(context),
        fixed_(fixed),
        moving_(moving),
        options_(options),
        time_is_up_(time_is_up),
        fixed_statistics_(of_fixed),
        moving_statistics_(of_moving) {}

  Alignment run();

 private:
  double body_mm() const { return std::min(fixed_statistics_.diameter_mm, moving_statistics_.diameter_mm); }
  std::vector<Candidate> next_poses(std::vector<Candidate>, std::size_t k, Alignment&);
  std::vector<Candidate> decide(std::vector<Candidate>, std::size_t k, Alignment&);
  Candidate most_informative(const std::vector<Contender>&, double apart_mm) const;
  void align_rigid(Alignment&);
  void track_rigid(Alignment&);
  void align_affine(Alignment&);
  void describe(Alignment&) const;
  void set_start_poses();
  const Point* normal() const { return flat_ ? &normal_ : nullptr; }

  Candidate align_edges(const Resolution&, const Contest&, const Candidate&, double step_mm) const;
  Candidate optimise_with_edges(std::size_t k, const Candidate&);
  bool leads_away(std::size_t finest, Alignment&);
  std::vector<Candidate> best(const std::vector<Candidate>&, std::size_t keep, double apart_mm) const;
  std::vector<Candidate> search(Resolution&);
  std::vector<Candidate> search_all_rotations(Resolution&);
  std::vector<Candidate> search_edges(std::size_t k);
  Candidate optimise(Resolution&, const Candidate&, Freedom, double step_mm, double last_mm, int steps);
  AffineMap from_fixed_mm(const AffineMap& map) const {
    return compose(map, translation(-1 * fixed_statistics_.centre_mm));
  }

  Context context_;
  const Scan& fixed_;
  const Scan& moving_;
  const AlignOptions& options_;
  const std::function<bool()>& time_is_up_;
  const ScanStatistics &fixed_statistics_, &moving_statistics_;
  bool flat_ = false;
  Point normal_{};
  AffineMap start_, header_;      // samples to moving mm: centre on centre, and by the headers
  std::optional<Levels> levels_;  // set by run()
  std::optional<PoseRank> rank_;  // set by run()
  Candidate rigid_, affine_;      // best so far
  std::int64_t wide_evaluations_ = 0;
};

// Sets the start poses. In 2-D the plane of the fixed scan is rotated and shifted onto the plane of the moving scan.
void Aligner::set_start_poses() {
  if (flat_) normal_ = plane_normal(fixed_statistics_.affine);
  const Point to = flat_ ? plane_normal(moving_statistics_.affine) : Point{};
  AffineMap map;
  if (flat_) map = rotation_between(normal_, dot(normal_, to) < 0 ? -1 * to : to);
  const Point from_header = fixed_statistics_.centre_mm, centre = moving_statistics_.centre_mm;
  start_ = header_ = map;
  set_column(start_, 3, centre);
  rigid_ = affine_ = {start_, 0};
  set_column(header_, 3, from_header + dot(centre - from_header, to) * to);
}

Candidate Aligner::optimise(Resolution& stage, const Candidate& from, Freedom freedom, double step_mm, double last_mm,
                            int steps) {
  const MotionParameters pose(from.map, freedom, fixed_statistics_.radius_mm, normal());
  const MapScore before = stage.metric.at(from.map);
  double x[MotionParameters::kMost] = {};
  const double score = maximise_information(stage.metric, pose, {step_mm, last_mm, steps, time_is_up_}, x);
  if (stage.metric.at(pose.at(x)).covered < 0.6 * before.covered)
    return {from.map, before.climbed};  // the scans slid apart
  return {pose.at(x), score};
}

std::vector<Candidate> Aligner::best(const std::vector<Candidate>& all, std::size_t keep, double apart_mm) const {
  return distinct(
      all, [this](const Candidate& c) { return rank_->rank(c); }, keep, apart_mm, fixed_statistics_.radius_mm);
}

// Searches a wide grid of poses around centre on centre, and a narrow one around the pose of the headers.
std::vector<Candidate> Aligner::search(Resolution& stage) {
  const double step_mm = levels_->spacing_mm(0), turn = flat_ ? 5 : 15;
  const PoseGrid wide = {options_.reach_degrees, turn, 0.1 * body_mm(), normal()};
  const PoseGrid narrow = {turn, turn, 0.1 * body_mm(), normal()};
  std::vector<Candidate> poses = search_poses(stage.metric, start_, wide, time_is_up_);
  std::vector<Candidate> near = search_poses(stage.metric, header_, narrow, time_is_up_);
  poses = best(poses, 10, 1.5 * step_mm);
  near = best(near, 2, 1.5 * step_mm);
  poses.insert(poses.end(), near.begin(), near.end());
  for (Candidate& c : poses) c = optimise(stage, c, Freedom::rigid, step_mm, 0.1 * step_mm, 20);
  return poses;
}

// Searches all rotations with few samples: for a lost header, or a scan taken upside down.
std::vector<Candidate> Aligner::search_all_rotations(Resolution& stage) {
  const double step_mm = levels_->spacing_mm(0);
  const FixedSamples few = draw_samples(context_, stage.fixed, fixed_statistics_, step_mm, kWideSamples);
  const AlignmentMetric metric(context_, few, stage.moving, 16, overlap_power(0));
  std::vector<Candidate> poses = search_rotations(metric, start_, 0.1 * body_mm(), normal(), time_is_up_);
  wide_evaluations_ += metric.evaluations();
  poses = best(poses, 10, 2 * step_mm);
  for (Candidate& c : poses) c = optimise(stage, c, Freedom::rigid, step_mm, 0.1 * step_mm, 20);
  return best(poses, 6, 2 * step_mm);
}

// Searches all rotations and shifts in a plane, by the edges of thin structures.
std::vector<Candidate> Aligner::search_edges(std::size_t k) {
  const double spacing_mm = levels_->spacing_mm(k);
  const std::vector<Point> along = spanning(normal());
  AffineMap turn = start_;
  set_column(turn, 3, Point{});
  std::vector<Candidate> poses =
      mmreg::search_edges(context_, levels_->fixed(), levels_->moving(), {{along[0], along[1]}, turn}, time_is_up_);
  poses = distinct(poses, [](const Candidate& c) { return c.score; }, 6, 2 * spacing_mm, fixed_statistics_.radius_mm);
  for (Candidate& c : poses) {
    c.map = compose(c.map, translation(fixed_statistics_.centre_mm));
    c = optimise_with_edges(k, c);
  }
  return poses;
}

// Returns the pose nearby where edges agree best: coordinate search over shifts and rotations with decreasing steps.
Candidate Aligner::align_edges(const Resolution& stage, const Contest& judge, const Candidate& from,
                               double step_mm) const {
  const MotionParameters pose(from.map, Freedom::rigid, fixed_statistics_.radius_mm, normal());
  double x[MotionParameters::kMost] = {}, best = judge.agreement(pose.at(x));
  for (double step = step_mm; step > kFinestStep * step_mm; step *= 0.5)
    for (int k = 0; k < pose.count(); ++k)
      for (const double sign : {1.0, -1.0}) {
        const double before = x[k];
        x[k] += sign * step;
        const double reached = judge.agreement(pose.at(x));
        if (reached > best)
          best = reached;
        else
          x[k] = before;
      }
  return {pose.at(x), stage.metric.at(pose.at(x)).climbed};
}

// In a plane, maximising mutual information may move away from where thin structures are aligned: then the edges
// decide.
Candidate Aligner::optimise_with_edges(std::size_t k, const Candidate& from) {
  const double mm = levels_->spacing_mm(k);
  Resolution& at = levels_->at(k);
  const Candidate higher = optimise(at, from, Freedom::rigid, mm, 0.05 * mm, 25);
  if (!flat_ || time_is_up_()) return higher;
  const Contest& judge = levels_->contest(k);
  const double before = judge.agreement(from.map), after = judge.agreement(higher.map);
  if (before < kSure * judge.elsewhere() || after > kKeptShare * before) return higher;
  return align_edges(at, judge, from, 2 * mm);
}

// Returns the poses for the next level, best first.
std::vector<Candidate> Aligner::next_poses(std::vector<Candidate> poses, std::size_t k, Alignment& out) {
  const double mm = levels_->spacing_mm(k);
  if (k == 0 && levels_->count() > 1) {
    const std::vector<Candidate> far = search_all_rotations(levels_->at(0));
    poses = best(poses, 4, mm);
    double most = 0;
    for (const Candidate& c : poses) most = std::max(most, rank_->rank(c));
    for (const Candidate& c : far)
      if (rank_->rank(c) > 0.6 * most) poses.push_back(c);
    return best(poses, poses.size(), mm);
  }
  return k <= 1 || poses.size() > 1 ? decide(std::move(poses), k, out) : poses;
}

// Returns the pose of highest mutual information among those that put the body where the first one does and have as
// much evidence: within one place, mutual information is the more precise measure.
Candidate Aligner::most_informative(const std::vector<Contender>& judged, double apart_mm) const {
  Candidate highest = judged[0].pose;
  for (const Contender& c : judged) {
    const bool same_place = distance(c.pose.map, judged[0].pose.map, fixed_statistics_.radius_mm) < apart_mm;
    if (same_place && c.evidence > kEqualShare * judged[0].evidence && c.pose.score > highest.score) highest = c.pose;
  }
  return highest;
}

// Ends the search: returns the pose with the most evidence, and the next best ones, which are optimised once more and
// compared again.
std::vector<Candidate> Aligner::decide(std::vector<Candidate> poses, std::size_t k, Alignment& out) {
  const double mm = levels_->spacing_mm(k), radius_mm = fixed_statistics_.radius_mm;
  const auto ranked = [this](const Candidate& c) { return rank_->rank(c, flat_ ? kUnusualSlice : kUnusual); };
  const Contest& judge = levels_->contest(k);
  if (!flat_) poses = rank_->without_chance(std::move(poses));
  std::vector<Contender> judged = judge.judged(best(poses, 10, mm), ranked);
  if (flat_ && k <= 1 && (judged.empty() || judged[0].agreement < std::max(0.35, 3 * judge.elsewhere()))) {
    for (const Candidate& c : search_edges(k)) poses.push_back(c);
    judged = judge.judged(best(poses, 16, mm), ranked);
  }
  if (judged.empty()) return {};
  out.agreement = judged[0].agreement;
  out.agreement_elsewhere = judge.elsewhere();
  out.rival = rival(judged, kApart * out.diameter_mm, radius_mm);
  const Candidate highest = most_informative(judged, kApart * out.diameter_mm);
  if (k > 1) return {highest};
  std::vector<Candidate> kept = {judged[0].pose};
  if (distance(highest.map, judged[0].pose.map, radius_mm) > 0) kept.push_back(highest);
  for (const Contender& c : std::vector<Contender>(judged.begin() + 1, judged.end()))
    if (kept.size() < 2 || (kept.size() < 4 && c.evidence > kEqualShare * judged[0].evidence)) kept.push_back(c.pose);
  return kept;
}

void Aligner::align_rigid(Alignment& out) {
  std::vector<Candidate> poses;
  for (std::size_t k = 0; k < levels_->count() && !time_is_up_(); ++k) {
    if (k == 0) poses = search(levels_->at(0));
    for (Candidate& c : poses)
      if (k > 0) c = optimise_with_edges(k, c);
    poses = next_poses(std::move(poses), k, out);
    if (!poses.empty()) rigid_ = poses[0];  // empty if time was up before the first pose was scored
  }
  out.rigid_complete = !time_is_up_();
  out.rigid = out.affine = from_fixed_mm(rigid_.map);
}

// Optimises the tracked pose on the finest levels.
void Aligner::track_rigid(Alignment& out) {
  const AffineMap from_centre = translation(fixed_statistics_.centre_mm);
  rigid_ = {compose(options_.tracked->rigid, from_centre), 0};
  affine_ = {compose(options_.tracked->affine, from_centre), 0};
  const std::size_t levels = levels_->count();
  for (std::size_t k = levels - std::min(levels, kTrackedLevels); k < levels && !time_is_up_(); ++k) {
    const double mm = levels_->spacing_mm(k);
    rigid_ = optimise(levels_->at(k), rigid_, Freedom::rigid, mm, 0.05 * mm, 25);
  }
  out.rigid_complete = !time_is_up_();
  out.rigid = out.affine = from_fixed_mm(rigid_.map);
}

// Returns whether, in a plane, edges agreed clearly better before the affine optimisation.
bool Aligner::leads_away(std::size_t finest, Alignment& out) {
  if (!flat_) return false;
  const Contest& judge = levels_->contest(finest);
  out.fixed.chance = judge.elsewhere();
  const double before = judge.agreement(rigid_.map);
  return before > kSure * judge.elsewhere() && judge.agreement(affine_.map) < kKeptShare * before;
}

// Starts from the rigid pose and skips the coarsest level, or from the tracked pose on the finest level; the result is
// accepted on the finest level only.
void Aligner::align_affine(Alignment& out) {
  const std::size_t finest = levels_->count() - 1;
  if (!options_.tracked) affine_ = rigid_;
  for (std::size_t k = options_.tracked ? finest : std::min<std::size_t>(1, finest); k <= finest && !time_is_up_();
       ++k) {
    const double mm = levels_->spacing_mm(k);
    Resolution& at = levels_->at(k);
    const bool better = plausible(affine_.map) && at.metric.at(affine_.map).climbed > at.metric.at(rigid_.map).climbed;
    affine_ = optimise(at, better ? affine_ : rigid_, Freedom::affine, mm, 0.05 * mm, 30);
  }
  if (time_is_up_()) return;
  out.affine_accepted = plausible(affine_.map) && affine_.score > rigid_.score && !leads_away(finest, out);
  if (out.affine_accepted) out.affine = from_fixed_mm(affine_.map);
  out.information_affine = affine_.score;
}

void Aligner::describe(Alignment& out) const {
  if (levels_->used().empty()) return;
  const Resolution& at = *levels_->used().back();
  const MapScore before = at.metric.at(translation(fixed_statistics_.centre_mm));
  const MapScore after = at.metric.at(out.affine_accepted ? affine_.map : rigid_.map);
  out.information_rigid = rigid_.score;
  out.nmi_before = before.normalised;
  out.nmi_after = after.normalised;
  out.overlap = after.covered;
  out.levels = int(levels_->count());
  out.finest_mm = levels_->spacing_mm(levels_->count() - 1);
  out.samples = at.samples.count;
  out.evaluations = wide_evaluations_;
  for (const auto& r : levels_->used())
    if (r) out.evaluations += r->metric.evaluations();
}

Alignment Aligner::run() {
  Alignment out;
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  const Clock::time_point start = Clock::now();
  flat_ = in_plane(fixed_) && in_plane(moving_);
  out.informative = !fixed_statistics_.flat && !moving_statistics_.flat;
  out.complete = out.rigid_complete = options_.kind == AlignKind::none || !out.informative;
  if (out.complete) return out;
  set_start_poses();
  out.rigid = out.affine = out.centres = from_fixed_mm(start_);
  out.centre_mm = fixed_statistics_.centre_mm;
  out.diameter_mm = body_mm();
  if (time_is_up_()) return out;
  rank_.emplace(start_, options_.reach_degrees);
  out.fixed = options_.fixed;
  if (!out.fixed.levels)
    out.fixed.levels = fixed_levels(context_, fixed_, fixed_statistics_, moving_, moving_statistics_, normal());
  levels_.emplace(context_, out.fixed.levels, moving_, moving_statistics_, start_, normal(), out.fixed.chance);
  options_.tracked ? track_rigid(out) : align_rigid(out);
  out.rigid_seconds = seconds(start);
  const Clock::time_point between = Clock::now();
  if (options_.kind == AlignKind::affine) align_affine(out);
  out.complete = !time_is_up_();
  if (options_.measure_fit && out.complete) out.fit = levels_->edges(0).at(rigid_.map);
  describe(out);
  out.affine_seconds = seconds(between);
  return out;
}

}  // namespace

Alignment align(const Context& context, const Scan& fixed, const Scan& moving, const AlignOptions& options,
                const std::function<bool()>& time_is_up) {
  const ScanStatistics of_fixed = measure_scan_statistics(context, fixed),
                       of_moving = measure_scan_statistics(context, moving);
  Alignment out = align(context, fixed, of_fixed, moving, of_moving, options, time_is_up);
  out.fixed = {};
  return out;
}

Alignment align(const Context& context, const Scan& fixed, const ScanStatistics& of_fixed, const Scan& moving,
                const ScanStatistics& of_moving, const AlignOptions& options, const std::function<bool()>& time_is_up) {
  return Aligner(context, fixed, of_fixed, moving, of_moving, options, time_is_up).run();
}

}  // namespace mmreg
