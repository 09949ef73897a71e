#include "pipeline/quality.h"

#include "pipeline/comparison.h"
#include "solver/math/affine_fit.h"

namespace mmreg {
namespace {

constexpr int kCoarse = 4;            // voxels along the finest axis, for the linear part
constexpr double kComparable = 0.25;  // share of the body that must be covered before, or the comparison is left out

struct Spread {
  double mean, p50, p95, largest;
};

Spread spread(const Context& context, Displacement u, const std::uint8_t* valid) {
  const Extent n = u.n;
  Buffer<float> length(context, n);
  context.lengths(u.data, n, length.data());
  const double fractions[3] = {0.5, 0.95, 1};
  float values[3] = {};
  const std::int64_t count = context.percentiles(length.data(), valid, voxels(n), fractions, 3, values);
  if (valid) {
    const Buffer<float> none = constant(context, n, 0);
    context.where(valid, voxels(n), length.data(), none.data(), length.data());
  }
  const double sum = context.summary(length.data(), voxels(n)).sum;
  return {count > 0 ? sum / double(count) : 0, values[0], values[1], values[2]};
}

// Returns the vector from each fixed point to its image under the transform and then its inverse, (3, fixed), in mm.
Buffer<float> there_and_back(const Context& context, const Fields& fields) {
  const Extent n = fields.sample.n;
  Buffer<float> error(context, n, 3);
  context.warp(fields.back, fields.sample, Interpolation::linear, Border::extend, error.data(), nullptr);
  context.axpby(3 * voxels(n), 1, error.data(), 1, fields.sample.data, error.data());
  const AffineMap& to_mm = fields.frames.moving_mm;
  const Change c = change(to_mm, to_mm, fields.frames.fixed_mm);
  context.add_affine(error.data(), n, c.linear, c.map, error.data());
  return error;
}

// Returns the linear part of the whole transform: the affine map composed with an affine fit of the deformation.
AffineMap linear_part(const Context& context, const Scan& fixed, const Fields& fields, const Region& region) {
  const DeformInput grid = input_of(fixed, nullptr, nullptr);
  const Factor whole{{1, 1, 1}};
  Factor coarse = factor_of(kCoarse, grid);
  const Extent n = extent_of(fixed.extent, coarse);
  const Buffer<float> u = change_level(context, fields.u, whole, n, coarse);
  const Buffer<std::uint8_t> inside = pooled_validity(context, region.inside, coarse);
  std::vector<float> host(u.size());
  std::vector<std::uint8_t> flags(inside.size());
  u.download(host.data()), inside.download(flags.data());
  const AffineMap up = to_whole(coarse), fit = fit_affine(host, flags, n).map,
                  in_whole = compose(up, compose(fit, invert(up)));
  const AffineMap& to_mm = fields.frames.fixed_mm;
  return compose(fields.frames.affine, compose(to_mm, compose(in_whole, invert(to_mm))));
}

void judge_pose(const Context& context, const Scan& fixed, const Scan& moving, const Fields& fields,
                const Comparison& comparison, const Region& region, Quality& q) {
  const AffineMap pose = linear_part(context, fixed, fields, region);
  q.pose = pose_evidence(context, fixed, moving, comparison, pose);
  const Seen seen = comparison.through(Frames(fixed, moving, pose).to_moving());
  q.residual = residual_evidence(context, fixed, comparison, seen, comparison.region({&seen}));
}

// Compares the scans before, by the headers, and after: over the voxels covered both times, or after alone if those are
// too few.
void compare(const Context& context, MeasuredScan& fixed, MeasuredScan& moving, const Fields& fields, Figures figures,
             Quality& q) {
  const Frames& frames = fields.frames;
  const Comparison comparison(context, fixed, moving, frames.to_moving());
  const Seen before = comparison.through(compose(invert(frames.moving_mm), frames.fixed_mm)),
             after = comparison.through(fields.sample);
  const Region region = comparison.region({&after}), both = comparison.region({&before, &after});
  q.overlap = region.share;
  const bool comparable = both.share > kComparable * region.share;
  const Region& used = comparable ? both : region;
  q.nmi_after = comparison.similarity(after, used);
  if (figures == Figures::full) {
    q.mind_after = comparison.difference(after, used);
    judge_pose(context, fixed, moving, fields, comparison, region, q);
  }
  if (!comparable) return;
  q.nmi_before = comparison.similarity(before, used);
  if (figures == Figures::full) q.mind_before = comparison.difference(before, used);
}

}  // namespace

void measure(const Context& context, MeasuredScan& fixed, MeasuredScan& moving, const Fields& fields, Figures figures,
             PipelineResult& r) {
  if (figures == Figures::none) return;
  Quality& q = r.quality;
  compare(context, fixed, moving, fields, figures, q);
  q.folding = context.folding(fields.u.data, fields.u.n);
  const bool deformed = r.deformation_mm.data();
  const Spread moved = deformed ? spread(context, r.deformation_mm, nullptr) : Spread{};
  q.displacement_p50_mm = moved.p50;
  q.displacement_p95_mm = moved.p95;
  q.displacement_max_mm = moved.largest;
  if (!fields.back.data || figures == Figures::fast) return;
  q.inverse_folding = context.folding(fields.back.data, fields.back.n);
  const Buffer<float> error = there_and_back(context, fields);
  const Spread consistency = spread(context, error, r.valid.data());
  q.inverse_consistency_mean_mm = consistency.mean;
  q.inverse_consistency_p95_mm = consistency.p95;
  q.inverse_consistency_max_mm = consistency.largest;
}

}  // namespace mmreg
