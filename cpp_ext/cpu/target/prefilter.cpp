// Cubic B-spline coefficients of an image mirrored about its border voxels, by recursions along each axis.
#include "core/prefilter.h"

#include "cpu/target/operations.h"
#include "cpu/target/vectors.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // functions with vector arguments are all inlined

namespace mmreg::MMREG_TARGET {
namespace {

typedef float Strip __attribute__((vector_size(16 * kLanes)));  // four adjacent vectors
typedef float StripAnywhere __attribute__((vector_size(16 * kLanes), aligned(4), may_alias));

// Filters the lines of n elements, `stride` apart, that start at p, p + 1, ... p + width - 1.
MMREG_INLINE void filter_lines(float* p, int width, int n, std::int64_t stride) {
  int x = 0;
  for (; x + 4 * kLanes <= width; x += 4 * kLanes)
    filter<Strip>(
        n, [=](int i) MMREG_INLINE_LAMBDA { return *reinterpret_cast<const StripAnywhere*>(p + i * stride + x); },
        [=](int i, const Strip& v) MMREG_INLINE_LAMBDA { *reinterpret_cast<StripAnywhere*>(p + i * stride + x) = v; });
  for (; x < width; x += kLanes) {
    const int count = width - x < kLanes ? width - x : kLanes;
    filter<Floats>(
        n, [=](int i) MMREG_INLINE_LAMBDA { return load(p + i * stride + x, count); },
        [=](int i, Floats v) MMREG_INLINE_LAMBDA { store(p + i * stride + x, v, count); });
  }
}

// Recursions within a vector by doubling: lane i is the sum over j <= i (or j >= i) of kPole^|i - j| v[j].
MMREG_INLINE Floats run_up(Floats v) {
  const Ints lane = lane_numbers();
  float power = kPole;
  for (int step = 1; step < kLanes; step *= 2, power *= power)
    v += power * (lane < splat(step) ? Floats{} : permute(v, (lane - step) & (kLanes - 1)));
  return v;
}

MMREG_INLINE Floats run_down(Floats v) {
  const Ints lane = lane_numbers();
  float power = kPole;
  for (int step = 1; step < kLanes; step *= 2, power *= power)
    v += power * (lane >= splat(kLanes - step) ? Floats{} : permute(v, (lane + step) & (kLanes - 1)));
  return v;
}

struct Carry {  // kPole^(i + 1) for lane i, and in reverse order
  Floats up, down;
};

MMREG_INLINE Carry carry() {
  Carry c;
  float power = kPole;
  for (int i = 0; i < kLanes; ++i, power *= kPole) c.up[i] = c.down[kLanes - 1 - i] = power;
  return c;
}

MMREG_INLINE void filter_row(float* row, int n, const Carry& power) {
  if (n == 1) return;
  row[0] = first<float>(n, [=](int i) { return row[i]; }) / kGain;
  float c = 0;
  for (int x = 0; x < n; x += kLanes) {
    const int count = n - x < kLanes ? n - x : kLanes;
    const Floats v = run_up(kGain * load(row + x, count)) + c * power.up;
    store(row + x, v, count);
    c = v[kLanes - 1];
  }
  row[n - 1] = last(row[n - 1], row[n - 2]) / -kPole;
  c = 0;
  for (int x = (n - 1) / kLanes * kLanes; x >= 0; x -= kLanes) {
    const int count = n - x < kLanes ? n - x : kLanes;
    const Floats v = run_down(-kPole * load(row + x, count)) + c * power.down;
    store(row + x, v, count);
    c = v[0];
  }
}

}  // namespace

void prefilter(Queue& queue, Image image, float* out) {
  const Extent n = image.n;
  const std::int64_t plane = std::int64_t(n.h) * n.w;
  parallel(queue, std::int64_t(image.channels) * n.d, 1, [=](std::int64_t begin, std::int64_t end) {
    const Carry power = carry();
    for (std::int64_t z = begin; z < end; ++z) {
      float* p = out + z * plane;
      if (out != image.data) std::memcpy(p, image.data + z * plane, std::size_t(plane) * sizeof(float));
      for (int y = 0; y < n.h; ++y) filter_row(p + std::int64_t(y) * n.w, n.w, power);
      filter_lines(p, n.w, n.h, n.w);
    }
  });
  parallel(queue, std::int64_t(image.channels) * n.h, 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t y = begin; y < end; ++y)
      filter_lines(out + (y / n.h) * voxels(n) + (y % n.h) * n.w, n.w, n.d, plane);
  });
}

}  // namespace mmreg::MMREG_TARGET
