// Mean over a box: running sums along y and z, restarted often enough to bound their rounding, and direct sums along x.
#include "cpu/target/smoothing.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct Box {
  static constexpr int step = 8;
  int radius[3];
  float scale;

  Box(Extent n, const int r[3]) {
    const int length[3] = {n.d, n.h, n.w};
    float count = 1;
    for (int a = 0; a < 3; ++a) count *= float(2 * (radius[a] = length[a] > 1 ? r[a] : 0) + 1);
    scale = 1 / count;
  }

  // sum += ahead - behind, where a missing row counts as 0.
  static void run(const float* ahead, const float* behind, int w, float* sum) {
    for (int x = 0; x < w; x += kLanes) {
      const int n = w - x < kLanes ? w - x : kLanes;
      const Floats gone = behind ? load(behind + x, n) : Floats{};
      store(sum + x, load(sum + x) + (load(ahead + x, n) - gone));
    }
  }

  void along_x(float* line, int w, float* out) const {
    const int r = radius[2];
    for (int k = 0; k < r; ++k) {
      line[k] = line[r];
      line[r + w + k] = line[r + w - 1];
    }
    for (int x = 0; x < w; x += kLanes) {
      Floats sum = load(line + x);
      for (int k = 1; k <= 2 * r; ++k) sum += load(line + x + k);
      store(out + x, sum);
    }
  }

  void plane(const float* const* rows, int count, int w, float* line, float* out, std::int64_t stride) const {
    const int r = radius[1];
    float* const middle = line + radius[2];
    for (int x = 0; x < w; x += kLanes) store(middle + x, Floats{});
    for (int k = 0; k < 2 * r; ++k) run(rows[k], nullptr, w, middle);
    for (int i = 0; i < count; ++i, out += stride) {
      run(rows[i + 2 * r], i ? rows[i - 1] : nullptr, w, middle);
      along_x(line, w, out);
    }
  }

  void depth(const float* const* planes, int w, std::int64_t size, float* out, int count) const {
    for (int x = 0; x < w; x += kLanes) {
      const int n = w - x < kLanes ? w - x : kLanes;
      Floats sum = load(planes[0] + x);
      for (int k = 1; k <= 2 * radius[0]; ++k) sum += load(planes[k] + x);
      for (int s = 0; s < count; ++s) {
        if (s) sum += load(planes[s + 2 * radius[0]] + x) - load(planes[s - 1] + x);
        store(out + s * size + x, sum * scale, n);
      }
    }
  }
};

}  // namespace

void box(Queue& queue, Image image, const int radius[3], float* out) {
  smooth(queue, Box(image.n, radius), image, out);
}

}  // namespace mmreg::MMREG_TARGET
