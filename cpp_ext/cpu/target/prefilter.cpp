// Cubic B-spline coefficients of an image, mirrored about its border voxels: a causal and an anticausal recursion along
// each axis. Unser, Aldroubi, Eden: B-spline signal processing, IEEE Trans. Signal Processing 41 (1993), box 2.
#include "cpu/target/operations.h"
#include "cpu/target/vectors.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr float pole = -0.26794919243112270647f;  // sqrt(3) - 2
constexpr int horizon = 16;                       // |pole|^16 < 1e-9

// In place along `n` elements `stride` apart, of `Real` = float, or Floats for a vector of lines side by side.
template <class Real, class Get, class Set>
MMREG_INLINE void filter(int n, Get get, Set set) {
  if (n == 1) return;
  Real sum = get(0) * 6.0f;
  float power = pole;
  for (int i = 1; i < horizon; ++i, power *= pole) {
    const int period = 2 * (n - 1), k = i % period;
    sum += power * 6.0f * get(k < n ? k : period - k);
  }
  Real c = sum;
  set(0, c);
  for (int i = 1; i < n; ++i) set(i, c = 6.0f * get(i) + pole * c);
  c = (pole / (pole * pole - 1.0f)) * (c + pole * get(n - 2));
  set(n - 1, c);
  for (int i = n - 2; i >= 0; --i) set(i, c = pole * (c - get(i)));
}

}  // namespace

void prefilter(Queue& queue, const float* image, int channels, Extent n, float* out) {
  const std::int64_t plane = std::int64_t(n.h) * n.w;
  parallel(queue, std::int64_t(channels) * n.d, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t z = begin; z < end; ++z) {
      float* p = out + z * plane;
      std::memcpy(p, image + z * plane, std::size_t(plane) * 4);
      for (int y = 0; y < n.h; ++y) {
        float* row = p + std::int64_t(y) * n.w;
        filter<float>(n.w, [&](int i) { return row[i]; }, [&](int i, float v) { row[i] = v; });
      }
      for (int x = 0; x < n.w; x += lanes) {
        const int count = n.w - x < lanes ? n.w - x : lanes;
        const auto at = [&](int i) { return p + std::int64_t(i) * n.w + x; };
        filter<Floats>(
            n.h, [&](int i) { return load(at(i), count); }, [&](int i, Floats v) { store(at(i), v, count); });
      }
    }
  });
  parallel(queue, std::int64_t(channels) * n.h, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t y = begin; y < end; ++y)
      for (int x = 0; x < n.w; x += lanes) {
        const int count = n.w - x < lanes ? n.w - x : lanes;
        float* p = out + (y / n.h) * voxels(n) + (y % n.h) * n.w + x;
        filter<Floats>(
            n.d, [&](int i) { return load(p + i * plane, count); },
            [&](int i, Floats v) { store(p + i * plane, v, count); });
      }
  });
}

}  // namespace mmreg::MMREG_TARGET
