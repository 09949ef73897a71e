#include "solver/deform/deform.h"

#include <cmath>

#include "solver/deform/affine_search.h"
#include "solver/deform/dense_search.h"
#include "solver/deform/gradient_descent.h"
#include "solver/deform/warp_moving.h"

namespace mmreg {
namespace {

constexpr Factor kWholeGrid{{1, 1, 1}};

// Returns the displacement of the prior, or zero, in place of a search.
DenseSearchResult without_search(const Context& context, const float* u, Extent n) {
  Buffer<float> start = constant(context, n, 0, 3);
  if (u) context.axpby(3 * voxels(n), 1, u, 0, u, start.data());
  return {std::move(start), kWholeGrid, 0};
}

// Searches for the residual motion after `u` and composes the two: corrects a wrong network within the search range.
DenseSearchResult search_after(const Context& context, const DeformInput& input, const float* u,
                               const SearchSettings& settings) {
  const WarpedMoving warped = warp_moving(context, input, u);
  DeformInput rest = input;
  rest.moving = warped.moving.data();
  rest.moving_valid = warped.valid.data();
  const DenseSearchResult result = dense_search(context, rest, settings);
  const Buffer<float> remaining = change_level(context, result.u, result.factor, input.n, kWholeGrid);
  Buffer<float> composed(context, input.n, 3);
  context.compose(remaining.data(), u, input.n, composed.data());
  return {std::move(composed), kWholeGrid, result.inconsistency_vox};
}

void describe(const Prior& prior, DeformInput& input) {
  if (!prior.describe) return;
  input.fixed_features = prior.describe(Side::fixed, input.fixed);
  input.moving_features = prior.describe(Side::moving, input.moving);
  input.channels = prior.channels;
}

// Cell size in voxels of the dense search, and of the affine search, which runs at half the resolution.
constexpr int kSearchCell = SearchSettings{}.factor, kAffineSearchCell = 4;

double work(const LevelSettings& s) { return double(s.iterations) / (double(s.factor) * s.factor * s.factor); }

// Searches at half the resolution, which is enough to locate the body.
AffineMap affine_part(const Context& context, const DeformInput& input, const SearchSettings& full,
                      const PairStatistics& statistics, const Interrupt& interrupt) {
  const int half = full.factor / kSearchCell * 2;
  const Downsampled small = downsample(context, input, half);
  SearchSettings s = full;
  s.patch_radius = 1;
  s.dilation = 1;
  s.factor = kAffineSearchCell;
  s.radius = full.radius - 1;
  s.smoothing = 1;
  return on_whole_grid(search_affine(context, small.input, s, statistics.fixed.tissue, interrupt), small.factor);
}

}  // namespace

Deformation deform(const Context& context, const DeformInput& original, const PairStatistics& statistics,
                   const DeformSettings& settings, const Interrupt& interrupt, const Prior& prior) {
  Deformation result;
  AffineWarpedPair pair(context, original);
  const bool searched = settings.search.wanted && !interrupt(0);
  if (searched && !prior.u) pair.absorb(affine_part(context, original, settings.search, statistics, interrupt));
  describe(prior, pair.input);
  const DeformInput& input = pair.input;
  DenseSearchResult start = !searched ? without_search(context, prior.u, original.n)
                            : prior.u ? search_after(context, input, prior.u, settings.search)
                                      : dense_search(context, input, settings.search);
  result.search_inconsistency_vox = start.inconsistency_vox;
  result.affine = pair.affine;
  Buffer<float> u = std::move(start.u);
  Factor factor = start.factor;
  double total = 1e-9, done = 0;
  for (int l = 0; l < settings.levels; ++l) total += work(settings.level[l]);
  for (int l = 0; l < settings.levels && result.complete; ++l) {
    const LevelSettings& s = settings.level[l];
    const Factor next = factor_of(s.factor, input);
    const Level level(context, input, statistics, next, s.dilation);
    u = change_level(context, u, factor, level.n, next);
    factor = next;
    const auto interrupt_level = [&](int i) { return interrupt((done + work(s) * i / s.iterations) / total); };
    result.complete = gradient_descent(context, level, s, u.data(), interrupt_level).complete;
    done += work(s);
  }
  result.u = change_level(context, u, factor, input.n, kWholeGrid);
  const Change back = change(pair.affine, pair.affine, AffineMap());
  context.add_affine(result.u.data(), original.n, back.linear, back.map, result.u.data());
  context.remove_folds(result.u.data(), input.n, kLeastDeterminant, kMostFoldRounds);
  return result;
}

}  // namespace mmreg
