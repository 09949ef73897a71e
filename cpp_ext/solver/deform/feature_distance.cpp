#include "solver/deform/feature_distance.h"

namespace mmreg {

double feature_distance(const Context& context, const DeformInput& input, const PairStatistics& statistics,
                        const Factor& factor) {
  const Level level(context, input, statistics, factor, LevelSettings{}.dilation);
  const Buffer<float> zero = constant(context, level.n, 0, 3);
  Buffer<float> gradient(context, level.n, 3);
  SimilaritySums sums{};
  context.similarity_gradient(SimilarityGradientArguments{level.fixed.data(), level.moving.data(), level.channels,
                                                          level.n, level.rows.data(), zero.data(), nullptr, 0, 0,
                                                          gradient.data(), nullptr, &sums});
  return sums.count > 0 ? 2 * sums.features / sums.count : 0;
}

}  // namespace mmreg
