// Normalises intensities to [0, 1] without synchronising with the host.
#include "core/normalisation.h"
#include "cuda/ranks.h"
#include "cuda/reduce.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

MMREG_DEVICE inline Extremes extremes_of(float v) {
  return v - v == 0 ? Extremes{v, v, 0} : Extremes{__builtin_inff(), -__builtin_inff(), 1};
}

MMREG_DEVICE inline Extremes joined(const Extremes& a, const Extremes& b) {
  return {a.smallest < b.smallest ? a.smallest : b.smallest, a.largest > b.largest ? a.largest : b.largest,
          a.not_finite + b.not_finite};
}

}  // namespace

void normalise(Queue& queue, const float* image, std::int64_t count, const Normalisation& s, float* out,
               Extremes* extremes) {
  fold_on_device(
      queue, count, Extremes{__builtin_inff(), -__builtin_inff(), 0},
      [=] MMREG_DEVICE(std::int64_t i) { return extremes_of(image[i]); },
      [=] MMREG_DEVICE(const Extremes& a, const Extremes& b) { return joined(a, b); }, extremes);
  const Scratch<std::int64_t> below(queue, 1);
  const Scratch<OrderStatistics> statistics(queue, 1);
  const OrderStatistics* const ends = statistics.data();
  if (s.kind == Normalisation::percentile) {
    fold_on_device(
        queue, count, std::int64_t(0),
        [=] MMREG_DEVICE(std::int64_t i) { return std::int64_t(image[i] == extremes->smallest); },
        [=] MMREG_DEVICE(std::int64_t a, std::int64_t b) { return a + b; }, below.data());
    find_order_statistics(queue, {image, nullptr, count}, {2, {s.low / 100, s.high / 100}, true, below.data()},
                          statistics.data());
  }
  const bool ranked = s.kind == Normalisation::percentile;
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) {
    const Bounds bounds = bounds_of(s, *extremes, ranked ? ends->values[0] : 0, ranked ? ends->values[1] : 0);
    out[i] = normalised(image[i], bounds);
  });
}

}  // namespace mmreg::MMREG_TARGET
