#include "solver/deform/deform.h"

#include <cmath>

#include "solver/deform/affine_search.h"
#include "solver/deform/dense_search.h"
#include "solver/deform/gradient_descent.h"
#include "solver/deform/warp_moving.h"

namespace mmreg {
namespace {

Found unsearched(const Operations& operations, Queue& queue, const float* u, Extent n) {
  TableMemory<float> start = constant(operations, queue, 3 * voxels(n), 0);
  if (u) operations.combine(queue, 3 * voxels(n), 1, u, 0, u, start.data());
  return {std::move(start), n, {{1, 1, 1}}, 0};
}

// What is left of the motion after `u`, and then `u`. A network that is wrong is set right as far as the search
// reaches.
Found search_after(const Operations& operations, Queue& queue, const DeformInput& input, const float* u,
                   const SearchSettings& settings) {
  const Pulled seen = pull(operations, queue, input, u);
  DeformInput rest = input;
  rest.moving = seen.moving.data(), rest.moving_valid = seen.valid.data();
  const Found found = search(operations, queue, rest, settings);
  const Factor whole{{1, 1, 1}};
  const TableMemory<float> left =
      change_level(operations, queue, found.u.data(), found.n, found.factor, input.n, whole);
  TableMemory<float> both(operations, queue, 3 * std::size_t(voxels(input.n)));
  operations.compose(queue, left.data(), u, input.n, both.data());
  return {std::move(both), input.n, whole, found.inconsistency_vox};
}

struct Described {  // by a network, or empty
  TableMemory<Half> fixed, moving;

  Described(const Operations& operations, Queue& queue, const Prior& prior, DeformInput& input) {
    if (!prior.describe) return;
    const std::size_t size = std::size_t(voxels(input.n)) * std::size_t(prior.channels);
    fixed = TableMemory<Half>(operations, queue, size), moving = TableMemory<Half>(operations, queue, size);
    prior.describe(Side::fixed, input.fixed, fixed.data()), prior.describe(Side::moving, input.moving, moving.data());
    input.fixed_features = fixed.data(), input.moving_features = moving.data(), input.channels = prior.channels;
  }
};

// Voxels of a cell: of the dense search, and at half the resolution of the search for the affine part.
constexpr int kCellOfSearch = SearchSettings{}.factor, kCellOfSettle = 4;

double work(const LevelSettings& s) { return double(s.iterations) / (double(s.factor) * s.factor * s.factor); }

// On half the resolution: it is only to find out where the body lies.
AffineMap affine_part(const Operations& operations, Queue& queue, const DeformInput& given, const SearchSettings& full,
                      const DeformFacts& facts, const Interrupt& interrupt) {
  const int half = full.factor / kCellOfSearch * 2;
  const Smaller small = smaller(operations, queue, given, half);
  SearchSettings s = full;
  s.patch_radius = 1, s.dilation = 1, s.factor = kCellOfSettle, s.radius = full.radius - 1, s.smoothing = 1;
  return of_whole(settle(operations, queue, small.input, s, facts.fixed.tissue, interrupt), small.factor);
}

}  // namespace

Deformation deform(const Operations& operations, Queue& queue, const DeformInput& given, const DeformFacts& facts,
                   const DeformSettings& settings, const Interrupt& interrupt, const Prior& prior) {
  Deformation result;
  Through start(operations, queue, given);
  const bool searched = settings.search.wanted && !interrupt(0);
  if (searched && !prior.u) start.take_out(affine_part(operations, queue, given, settings.search, facts, interrupt));
  const Described described(operations, queue, prior, start.input);
  const DeformInput& input = start.input;
  Found found = !searched ? unsearched(operations, queue, prior.u, given.n)
                : prior.u ? search_after(operations, queue, input, prior.u, settings.search)
                          : search(operations, queue, input, settings.search);
  result.search_inconsistency_vox = found.inconsistency_vox, result.affine = start.affine;
  TableMemory<float> u = std::move(found.u);
  Extent n = found.n;
  Factor factor = found.factor;
  double total = 1e-9, done = 0;
  for (int l = 0; l < settings.levels; ++l) total += work(settings.level[l]);
  for (int l = 0; l < settings.levels && result.complete; ++l) {
    const LevelSettings& s = settings.level[l];
    const Factor next = factor_of(s.factor, input);
    const Level level(operations, queue, input, facts, next, s.dilation);
    u = change_level(operations, queue, u.data(), n, factor, level.n, next);
    n = level.n, factor = next;
    result.complete = refine(operations, queue, level, s, u.data(), [&](int i) {
                        return interrupt((done + work(s) * i / s.iterations) / total);
                      }).complete;
    done += work(s);
  }
  result.u = change_level(operations, queue, u.data(), n, factor, input.n, Factor{{1, 1, 1}});
  const Change back = change(start.affine, start.affine, AffineMap());
  operations.add_affine(queue, result.u.data(), given.n, back.linear, back.map, result.u.data());
  operations.unfold(queue, result.u.data(), input.n, least_determinant, most_unfold_rounds);
  return result;
}

}  // namespace mmreg
