#include "solver/deform/deform.h"

#include <cmath>

#include "solver/deform/affine_search.h"
#include "solver/deform/dense_search.h"
#include "solver/deform/gradient_descent.h"
#include "solver/deform/warp_moving.h"

namespace mmreg {
namespace {

Found unsearched(const Context& context, const float* u, Extent n) {
  Buffer<float> start = constant(context, 3 * voxels(n), 0);
  if (u) context.combine(3 * voxels(n), 1, u, 0, u, start.data());
  return {std::move(start), n, {{1, 1, 1}}, 0};
}

// What is left of the motion after `u`, and then `u`. A network that is wrong is set right as far as the search
// reaches.
Found search_after(const Context& context, const DeformInput& input, const float* u, const SearchSettings& settings) {
  const Pulled seen = pull(context, input, u);
  DeformInput rest = input;
  rest.moving = seen.moving.data(), rest.moving_valid = seen.valid.data();
  const Found found = search(context, rest, settings);
  const Factor whole{{1, 1, 1}};
  const Buffer<float> left = change_level(context, found.u.data(), found.n, found.factor, input.n, whole);
  Buffer<float> both(context, 3 * std::size_t(voxels(input.n)));
  context.compose(left.data(), u, input.n, both.data());
  return {std::move(both), input.n, whole, found.inconsistency_vox};
}

struct Described {  // by a network, or empty
  Buffer<Half> fixed, moving;

  Described(const Context& context, const Prior& prior, DeformInput& input) {
    if (!prior.describe) return;
    const std::size_t size = std::size_t(voxels(input.n)) * std::size_t(prior.channels);
    fixed = Buffer<Half>(context, size), moving = Buffer<Half>(context, size);
    prior.describe(Side::fixed, input.fixed, fixed.data()), prior.describe(Side::moving, input.moving, moving.data());
    input.fixed_features = fixed.data(), input.moving_features = moving.data(), input.channels = prior.channels;
  }
};

// Voxels of a cell: of the dense search, and at half the resolution of the search for the affine part.
constexpr int kCellOfSearch = SearchSettings{}.factor, kCellOfSettle = 4;

double work(const LevelSettings& s) { return double(s.iterations) / (double(s.factor) * s.factor * s.factor); }

// On half the resolution: it is only to find out where the body lies.
AffineMap affine_part(const Context& context, const DeformInput& given, const SearchSettings& full,
                      const DeformFacts& facts, const Interrupt& interrupt) {
  const int half = full.factor / kCellOfSearch * 2;
  const Smaller small = smaller(context, given, half);
  SearchSettings s = full;
  s.patch_radius = 1, s.dilation = 1, s.factor = kCellOfSettle, s.radius = full.radius - 1, s.smoothing = 1;
  return of_whole(settle(context, small.input, s, facts.fixed.tissue, interrupt), small.factor);
}

}  // namespace

Deformation deform(const Context& context, const DeformInput& given, const DeformFacts& facts,
                   const DeformSettings& settings, const Interrupt& interrupt, const Prior& prior) {
  Deformation result;
  Through start(context, given);
  const bool searched = settings.search.wanted && !interrupt(0);
  if (searched && !prior.u) start.take_out(affine_part(context, given, settings.search, facts, interrupt));
  const Described described(context, prior, start.input);
  const DeformInput& input = start.input;
  Found found = !searched ? unsearched(context, prior.u, given.n)
                : prior.u ? search_after(context, input, prior.u, settings.search)
                          : search(context, input, settings.search);
  result.search_inconsistency_vox = found.inconsistency_vox, result.affine = start.affine;
  Buffer<float> u = std::move(found.u);
  Extent n = found.n;
  Factor factor = found.factor;
  double total = 1e-9, done = 0;
  for (int l = 0; l < settings.levels; ++l) total += work(settings.level[l]);
  for (int l = 0; l < settings.levels && result.complete; ++l) {
    const LevelSettings& s = settings.level[l];
    const Factor next = factor_of(s.factor, input);
    const Level level(context, input, facts, next, s.dilation);
    u = change_level(context, u.data(), n, factor, level.n, next);
    n = level.n, factor = next;
    result.complete = refine(context, level, s, u.data(), [&](int i) {
                        return interrupt((done + work(s) * i / s.iterations) / total);
                      }).complete;
    done += work(s);
  }
  result.u = change_level(context, u.data(), n, factor, input.n, Factor{{1, 1, 1}});
  const Change back = change(start.affine, start.affine, AffineMap());
  context.add_affine(result.u.data(), given.n, back.linear, back.map, result.u.data());
  context.unfold(result.u.data(), input.n, kLeastDeterminant, kMostUnfoldRounds);
  return result;
}

}  // namespace mmreg
