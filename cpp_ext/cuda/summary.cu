// Sums and extrema.
#include "core/length.h"
#include "cuda/lane.h"
#include "cuda/reduce.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr float kInfinity = __builtin_inff();

struct Partial {
  double sum;
  float smallest, largest;
  std::int64_t finite;
};

struct Farthest {
  float squared;
  std::int64_t not_finite;
};

}  // namespace

Summary summary(Queue& queue, const float* values, std::int64_t count) {
  const Partial all = fold(
      queue, count, Partial{0, kInfinity, -kInfinity, 0},
      [=] MMREG_DEVICE(std::int64_t i) {
        const float v = values[i];
        return abs(v) < kInfinity ? Partial{v, v, v, 1} : Partial{0, kInfinity, -kInfinity, 0};
      },
      [=] MMREG_DEVICE(const Partial& a, const Partial& b) {
        return Partial{a.sum + b.sum, min(a.smallest, b.smallest), max(a.largest, b.largest), a.finite + b.finite};
      });
  if (all.finite == 0) return {0, 0, 0, 0, count};
  return {all.sum, all.sum / double(all.finite), all.smallest, all.largest, count - all.finite};
}

MaxDisplacement max_displacement(Queue& queue, const float* u, Extent n) {
  const std::int64_t size = voxels(n);
  const Farthest all = fold(
      queue, size, Farthest{0, 0},
      [=] MMREG_DEVICE(std::int64_t i) {
        const float z = u[i], y = u[i + size], x = u[i + 2 * size];
        const bool finite = abs(z) < kInfinity && abs(y) < kInfinity && abs(x) < kInfinity;
        return finite ? Farthest{squared_length(z, y, x), 0} : Farthest{0, 1};
      },
      [=] MMREG_DEVICE(const Farthest& a, const Farthest& b) {
        return Farthest{max(a.squared, b.squared), a.not_finite + b.not_finite};
      });
  return {__builtin_sqrt(double(all.squared)), all.not_finite};
}

}  // namespace mmreg::MMREG_TARGET
