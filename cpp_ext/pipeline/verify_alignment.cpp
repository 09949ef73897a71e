#include "pipeline/verify_alignment.h"

#include <algorithm>
#include <cmath>

#include "pipeline/frames.h"
#include "pipeline/resampling.h"
#include "solver/deform/affine_search.h"
#include "solver/deform/feature_distance.h"
#include "solver/math/affine_fit.h"

namespace mmreg {
namespace {

constexpr double kApart = 0.1;     // diameters of the body: such maps put it in different places
constexpr double kRadius = 0.387;  // root mean square distance from the centre of a ball, in diameters
constexpr double kAcross = 72;     // voxels across the body on the coarse grid
constexpr double kClearly = 0.97;  // features must differ by less than this share of before
constexpr double kSure = 3;        // times the agreement of edges in other places,
constexpr double kRival = 0.7;     // and at most this share of the evidence for another one
constexpr double kCovered = 0.5;   // share of the overlap that must remain

struct Coarse {  // the fixed scan on a grid of a few millimetres
  Buffer<float> image;
  Buffer<std::uint8_t> mask;
  Scan scan;
};

Coarse coarse(const Context& context, const Scan& fixed, double spacing_mm) {
  const int length[3] = {fixed.extent.d, fixed.extent.h, fixed.extent.w};
  Factor factor;
  for (int a = 0; a < 3; ++a) {
    const double step = spacing_mm / mmreg::length(column(fixed.affine, a));
    factor.f[a] = std::clamp(int(std::lround(step)), 1, std::max(1, length[a] / 4));
  }
  Coarse c{pooled(context, fixed, factor), pooled_validity(context, {fixed.mask, fixed.extent}, factor), {}};
  c.scan = {c.image.data(), c.image.extent(), compose(fixed.affine, to_whole(factor)), c.mask.data()};
  return c;
}

struct View {  // the moving scan under an affine map, on the grid of the coarse fixed one
  Prepared prepared;
  ExtrapolatedPair filled;
  PairStatistics facts;

  View(const Context& context, const Scan& fixed, const Scan& moving, const AffineMap& affine)
      : prepared(prepare(context, fixed, moving, Frames(fixed, moving, affine).to_moving())),
        filled(extrapolate(context, input_of(fixed, prepared.moving.data(), prepared.valid.data()))),
        facts(measure_image_statistics(context, filled.input)) {}
};

class AlignmentScorer {
 public:
  AlignmentScorer(const Context& context, const Scan& fixed, const Scan& moving, const Alignment& first)
      : context_(context),
        moving_(moving),
        first_(first),
        coarse_(coarse(context, fixed, first.diameter_mm / kAcross)) {}

  View through(const AffineMap& affine) const { return View(context_, coarse_.scan, moving_, affine); }

  double difference(const View& view) const {
    return feature_distance(context_, view.filled.input, view.facts, Factor{{1, 1, 1}});
  }

  // Returns the result of a dense search from the centres.
  AffineMap corrected(const Interrupt& interrupt) const {
    const View view = through(first_.centres);
    SearchSettings s;
    s.patch_radius = 1;
    s.dilation = 1;
    s.factor = 3;
    s.radius = 5;
    s.smoothing = 1;
    const AffineMap found = search_affine(context_, view.filled.input, s, view.facts.fixed.tissue, interrupt);
    const AffineMap to_mm = coarse_.scan.affine;
    return compose(first_.centres, compose(to_mm, compose(found, invert(to_mm))));
  }

  AffineMap rigid_part(const AffineMap& map) const {
    AffineMap r = nearest_rotation(map);
    set_column(r, 3, apply(map, first_.centre_mm) - rotate(r, first_.centre_mm));
    return r;
  }

 private:
  Context context_;
  const Scan& moving_;
  const Alignment& first_;
  Coarse coarse_;
};

// Returns whether two maps put the fixed body in different places.
bool apart(const AffineMap& a, const AffineMap& b, const Alignment& of) {
  const AffineMap from_centre = translation(of.centre_mm);
  const double between_mm = distance(compose(a, from_centre), compose(b, from_centre), kRadius * of.diameter_mm);
  return between_mm > kApart * of.diameter_mm;
}

// Returns whether the edges of both scans coincide, and nowhere else nearly as well.
bool sure(const Alignment& a) { return a.agreement > kSure * a.agreement_elsewhere && a.rival < kRival; }

}  // namespace

Alignment verify_alignment(const Context& context, const Scan& fixed, const Scan& moving, const Alignment& first,
                           AlignKind kind, const std::function<bool()>& time_is_up) {
  if (!first.complete || !first.informative || fixed.extent.d == 1 || moving.extent.d == 1) return first;
  if (sure(first) || !apart(first.rigid, first.centres, first)) return first;
  const AlignmentScorer scorer(context, fixed, moving, first);
  Alignment second = first;
  second.rival = 1;  // two views of the same scans lead to different places
  second.affine = scorer.corrected([&](double) { return time_is_up(); });
  second.rigid = scorer.rigid_part(second.affine);
  if (kind == AlignKind::rigid) second.affine = second.rigid;
  second.affine_accepted = kind == AlignKind::affine;
  if (!apart(first.affine, second.affine, first)) return first;  // the same place, optimised further
  const View old_view = scorer.through(first.affine), new_view = scorer.through(second.affine);
  const bool better = scorer.difference(new_view) < kClearly * scorer.difference(old_view);
  const auto seen = [&](const View& view) { return covered(context, view.prepared.valid); };
  return better && seen(new_view) > kCovered * seen(old_view) && !time_is_up() ? second : first;
}

}  // namespace mmreg
