// Gradients of a linear warp with respect to the displacement and the image.
#include <cmath>

#include "core/corners.h"
#include "cuda/reduce.h"

namespace mmreg::MMREG_TARGET {
namespace {

typedef unsigned long long Word;

MMREG_DEVICE inline Corners corners_at(const float* u, std::int64_t size, const Voxel& v, Extent m, Border border) {
  return corners(float(v.z) + u[v.index], float(v.y) + u[size + v.index], float(v.x) + u[2 * size + v.index], m,
                 border);
}

// Returns the unit of integer sums, which do not depend on the order. No sum exceeds 2^62, even if all `count` values
// are as large as the largest and meet in one voxel.
MMREG_DEVICE inline double unit(float largest, double count) {
  return largest > 0 ? double(largest) * count / double(1ll << 62) : 1.0;
}

struct Range {          // of the values of a channel
  float largest;        // the largest finite |value|
  std::uint32_t other;  // 1 if a value is not finite
};

MMREG_DEVICE inline Range range_of(float value) { return value - value == 0 ? Range{fabsf(value), 0} : Range{0, 1}; }
MMREG_DEVICE inline Range joined(const Range& a, const Range& b) {
  return {a.largest > b.largest ? a.largest : b.largest, a.other | b.other};
}

// Values that are not finite have no integer; a voxel counts those it receives. NaN counts as both.
constexpr Word kPositive = 1, kNegative = 1ull << 32;

MMREG_DEVICE inline Word other_of(float value) { return (value < 0 ? 0 : kPositive) | (value > 0 ? 0 : kNegative); }
MMREG_DEVICE inline float value_of(Word others) {
  const bool up = others % kNegative != 0, down = others >= kNegative;
  return up && down ? __builtin_nanf("") : up ? __builtin_inff() : -__builtin_inff();
}

// The adjoint of the warp of one channel. `sums` has one element per voxel of the moving image.
struct Adjoint {
  const float *upstream, *u;
  Extent n, m;
  Border border;
  Range* range;  // of the upstream values, on the device
  Word* sums;
  float* out;

  MMREG_DEVICE double unit_of_sums() const { return unit(range->largest, double(voxels(n))); }

  // Calls at(index, weight) for the voxels of the moving image that receive a part of the upstream value of v.
  template <class At>
  MMREG_DEVICE void for_parts(const Voxel& v, const At& at) const {
    for_corners(corners_at(u, voxels(n), v, m, border), m, [&](std::int64_t index, float weight, const float (&)[3]) {
      if (weight != 0) at(index, weight);
    });
  }

  MMREG_DEVICE void add_finite(const Voxel& v) const {
    const float value = upstream[v.index];
    if (!(value - value == 0) || value == 0) return;
    const double per_unit = 1.0 / unit_of_sums();
    for_parts(v, [&](std::int64_t at, float weight) {
      atomic_add(sums + at, Word((long long)(double(weight * value) * per_unit)));
    });
  }
  MMREG_DEVICE void write_finite(std::int64_t i) const {
    out[i] = float(double((long long)(sums[i])) * unit_of_sums());
    sums[i] = 0;
  }
  MMREG_DEVICE void add_others(const Voxel& v) const {
    const float value = upstream[v.index];
    if (!range->other || value - value == 0) return;
    for_parts(v, [&](std::int64_t at, float) { atomic_add(sums + at, other_of(value)); });
  }
  MMREG_DEVICE void write_others(std::int64_t i) const {
    if (range->other && sums[i]) out[i] = value_of(sums[i]);
  }
};

}  // namespace

void warp_grad_displacement(Queue& queue, Image moving, Displacement u, Border border, const float* upstream,
                            float* gradient) {
  const Extent m = moving.n;
  const std::int64_t size = voxels(u.n), volume = voxels(m);
  for_voxels(queue, u.n, [=] MMREG_DEVICE(const Voxel& v) {
    float along[3] = {};
    for_corners(corners_at(u.data, size, v, m, border), m, [&](std::int64_t at, float, const float (&slope)[3]) {
      float value = 0;
      for (int k = 0; k < moving.channels; ++k) value += upstream[k * size + v.index] * moving.data[k * volume + at];
      for (int a = 0; a < 3; ++a) along[a] += weighed(slope[a], value);
    });
    for (int a = 0; a < 3; ++a) gradient[a * size + v.index] = along[a];
  });
}

void warp_grad_image(Queue& queue, const float* upstream, Displacement u, Border border, ImageView<float> gradient) {
  const Extent n = u.n, m = gradient.n;
  const std::int64_t size = voxels(n), volume = voxels(m);
  const Scratch<Word> sums(queue, volume);
  const Scratch<Range> range(queue, 1);
  for (int k = 0; k < gradient.channels; ++k) {
    const Adjoint a{upstream + k * size, u.data, n, m, border, range.data(), sums.data(), gradient.data + k * volume};
    fold_on_device(
        queue, size, Range{0, 0}, [=] MMREG_DEVICE(std::int64_t i) { return range_of(a.upstream[i]); },
        [] MMREG_DEVICE(const Range& x, const Range& y) { return joined(x, y); }, a.range);
    for_each(queue, volume, [=] MMREG_DEVICE(std::int64_t i) { a.sums[i] = 0; });
    for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) { a.add_finite(v); });
    for_each(queue, volume, [=] MMREG_DEVICE(std::int64_t i) { a.write_finite(i); });
    for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) { a.add_others(v); });
    for_each(queue, volume, [=] MMREG_DEVICE(std::int64_t i) { a.write_others(i); });
  }
}

}  // namespace mmreg::MMREG_TARGET
