#include "solver/deform.h"

#include <cmath>

#include "solver/affine_fit.h"
#include "solver/fill.h"
#include "solver/pull.h"
#include "solver/refine.h"
#include "solver/search.h"

namespace mmreg {
namespace {

constexpr float kLeastDeterminant = 0.02f;  // far above what rounding to float32 mm can undo
constexpr int kUnfoldRounds = 64;

constexpr int kFits = 5;
constexpr double kFar_vox = 1.5;  // an affine map that moves the body by more is taken out of the moving image

// From indices of a level to those of the whole grid: voxel i stands for f i + (f - 1) / 2.
AffineMap of_whole(const AffineMap& map, const Factor& factor) {
  AffineMap up;
  for (int a = 0; a < 3; ++a) up(a, a) = factor.f[a], up(a, 3) = 0.5 * (factor.f[a] - 1);
  return compose(up, compose(map, invert(up)));
}

std::vector<std::uint8_t> body(const Operations& operations, Queue& queue, const DeformInput& input, float tissue,
                               const Found& found) {
  const std::size_t cells = std::size_t(voxels(found.n));
  TableMemory<float> pooled(operations, queue, cells);
  TableMemory<std::uint8_t> inside(operations, queue, cells);
  operations.pool(queue, input.fixed, 1, input.n, found.factor.f, pooled.data());
  operations.above(queue, pooled.data(), nullptr, std::int64_t(cells), tissue, inside.data());
  std::vector<std::uint8_t> host(cells);
  inside.download(host.data());
  return host;
}

// A dense search sees little where the body is turned or stretched: patches differ, and neighbours do not agree on one
// displacement. What most cells of a coarser search agree on is taken out of the moving image first, again and again.
class Start {
 public:
  DeformInput input;  // the moving image through `affine`
  AffineMap affine;   // of indices of the fixed grid

  Start(const Operations& operations, Queue& queue, const DeformInput& given)
      : input(given), operations_(operations), queue_(queue), given_(given) {}

  void settle(const SearchSettings& s, float tissue, const Interrupt& interrupt) {
    SearchSettings coarse = s;
    coarse.factor = s.factor + (s.factor + 1) / 2, coarse.radius = s.radius - 1, coarse.smoothing = 1;
    for (int i = 0; i < kFits && !interrupt(0); ++i) {
      const Found found = search(operations_, queue_, input, coarse);
      std::vector<float> u(found.u.size());
      found.u.download(u.data());
      const AffineFit fit = fit_affine(u, body(operations_, queue_, given_, tissue, found), found.n);
      if (!fit.plausible || fit.moved_vox * found.factor.f[2] < kFar_vox) break;
      take_out(of_whole(fit.map, found.factor));
    }
  }

 private:
  void take_out(const AffineMap& more) {
    affine = compose(affine, more);
    pulled_ = pull(operations_, queue_, given_, affine);
    input.moving = pulled_.moving.data(), input.moving_valid = pulled_.valid.data();
    filled_ = fill(operations_, queue_, input), input = filled_.input;
  }

  const Operations& operations_;
  Queue& queue_;
  const DeformInput& given_;
  Pulled pulled_;
  Filled filled_;
};

Found none(const Operations& operations, Queue& queue, Extent n) {
  return {uploaded(operations, queue, std::vector<float>(3 * std::size_t(voxels(n)))), n, {{1, 1, 1}}, 0};
}

double work(const LevelSettings& s) { return double(s.iterations) / (double(s.factor) * s.factor * s.factor); }

}  // namespace

Deformation deform(const Operations& operations, Queue& queue, const DeformInput& given, const DeformFacts& facts,
                   const DeformSettings& settings, const Interrupt& interrupt) {
  Deformation result;
  Start start(operations, queue, given);
  Found found = none(operations, queue, given.n);
  if (settings.search.wanted && !interrupt(0)) {
    if (!given.fixed_features) start.settle(settings.search, facts.fixed.tissue, interrupt);
    found = search(operations, queue, start.input, settings.search);
  }
  const DeformInput& input = start.input;
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
  operations.unfold(queue, result.u.data(), input.n, kLeastDeterminant, kUnfoldRounds);
  return result;
}

}  // namespace mmreg
