#include "solver/deform.h"

#include <cmath>

#include "solver/refine.h"
#include "solver/search.h"

namespace mmreg {
namespace {

constexpr float kLeastDeterminant = 0.02f;  // far above what rounding to float32 mm can undo
constexpr int kUnfoldRounds = 64;

double work(const LevelSettings& s) { return double(s.iterations) / (double(s.factor) * s.factor * s.factor); }

}  // namespace

Deformation deform(const Operations& operations, Queue& queue, const DeformInput& input, const DeformFacts& facts,
                   const DeformSettings& settings, const Interrupt& interrupt) {
  Deformation result;
  Factor factor{{1, 1, 1}};
  Extent n = input.n;
  TableMemory<float> u;
  if (settings.search.wanted && !interrupt(0)) {
    Found found = search(operations, queue, input, settings.search);
    result.search_inconsistency_vox = found.inconsistency_vox;
    u = std::move(found.u), n = found.n, factor = found.factor;
  } else {
    u = TableMemory<float>(operations, queue, 3 * std::size_t(voxels(n)));
    u.upload(std::vector<float>(u.size()).data());
  }
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
  operations.unfold(queue, result.u.data(), input.n, kLeastDeterminant, kUnfoldRounds);
  return result;
}

}  // namespace mmreg
