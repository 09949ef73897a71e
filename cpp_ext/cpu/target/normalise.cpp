// Normalises intensities to [0, 1].
#include <cmath>

#include "core/normalisation.h"
#include "cpu/target/ranks.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr std::int64_t kPiece = 1 << 15;

std::int64_t count_equal(Queue& queue, const float* image, std::int64_t count, float value) {
  const std::int64_t pieces = (count + kPiece - 1) / kPiece;
  Scratch<std::int64_t> partial(queue, pieces + 1);
  std::int64_t* const parts = partial;
  parallel(queue, count, kPiece, [=](std::int64_t begin, std::int64_t end) {
    std::int64_t equal = 0;
    for (std::int64_t i = begin; i < end; ++i) equal += image[i] == value;
    parts[begin / kPiece] = equal;
  });
  std::int64_t all = 0;
  for (std::int64_t i = 0; i < pieces; ++i) all += parts[i];
  return all;
}

struct Ends {
  float low, high;
};

// Computes nearest-rank percentiles of the voxels above the lowest value. There must be at least one.
Ends percentiles_above_lowest(Queue& queue, const float* image, std::int64_t count, const Normalisation& s,
                              float lowest) {
  const Voxels v{image, nullptr, count};
  Scratch<std::uint32_t> tables(queue, std::int64_t(2 * kMostFractions) * kHalves);
  const std::int64_t usable = count_upper(queue, v, tables), below = count_equal(queue, image, count, lowest);
  Rank ranks[2] = {{below + nearest_rank(s.low / 100, usable - below), 0, 0},
                   {below + nearest_rank(s.high / 100, usable - below), 0, 0}};
  find_ranks(queue, v, tables, ranks, 2);
  return {ranks[0].value, ranks[1].value};
}

}  // namespace

void normalise(Queue& queue, const float* image, std::int64_t count, const Normalisation& s, float* out,
               Extremes* extremes) {
  const Summary all = summary(queue, image, count);
  const bool none = all.not_finite == count;
  *extremes = {none ? __builtin_inff() : float(all.smallest), none ? -__builtin_inff() : float(all.largest),
               all.not_finite};
  Ends ends{};
  if (s.kind == Normalisation::percentile && extremes->smallest < extremes->largest)
    ends = percentiles_above_lowest(queue, image, count, s, extremes->smallest);
  const Bounds bounds = bounds_of(s, *extremes, ends.low, ends.high);
  parallel(queue, count, kPiece, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = normalised(image[i], bounds);
  });
}

}  // namespace mmreg::MMREG_TARGET
