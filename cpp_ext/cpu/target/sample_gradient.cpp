// Derivative of a function of the joint histogram with respect to the twelve numbers of the affine index map.
#include "core/covered_sample.h"
#include "core/window.h"
#include "cpu/target/operations.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {
namespace {

enum { piece_samples = 8192, block = 128 };  // block: a multiple of kLanes

struct Block {
  alignas(64) float slope[3][block], fade[3][block];  // derivatives of (intensity in bins) * cover, and of the cover
  alignas(64) float rising[4][block], window[4][block];
  alignas(64) float rise[block], level[block];  // derivatives with respect to intensity and weight
  alignas(64) int bin[block];
};

void place(const SampleList& s, std::int64_t begin, int count, Image moving, const float* a, int bins, Block& out) {
  const float *z = s.points + begin, *y = z + s.count, *x = y + s.count, *value = s.values + begin;
  for (int i = 0; i < count; ++i) {
    const CoveredSample m = covered_sample(moving.data, moving.n, a, z[i], y[i], x[i]);
    const WindowPlace at = window_place(m.value, bins);
    float w[4], d[4];
    window_weights(at.t, w);
    window_slopes(at.t, d);
    for (int k = 0; k < 4; ++k) {
      out.window[k][i] = w[k];
      out.rising[k][i] = d[k];
    }
    for (int k = 0; k < 3; ++k) {
      out.slope[k][i] = covered_slope(m.slope[k], m.cover, bins);
      out.fade[k][i] = m.fade[k];
    }
    out.bin[i] = joint_bin(value[i], at, bins);
  }
}

void add(const SampleList& s, std::int64_t begin, int count, const Block& b, double* sums) {
  const float *z = s.points + begin, *y = z + s.count, *x = y + s.count;
  for (int axis = 0; axis < 3; ++axis) {
    Floats by[4] = {};  // sums of a block per lane; blocks are added in double
    for (int i = 0; i < count; i += kLanes) {
      const int some = count - i;
      const Floats f = by_place(load(b.rise + i), load(b.slope[axis] + i), load(b.level + i), load(b.fade[axis] + i));
      const Floats at[3] = {some < kLanes ? load(z + i, some) : load(z + i),
                            some < kLanes ? load(y + i, some) : load(y + i),
                            some < kLanes ? load(x + i, some) : load(x + i)};
      for (int k = 0; k < 3; ++k) by[k] += f * number_or_zero(at[k]);
      by[3] += f;
    }
    for (int c = 0; c < 4; ++c)
      for (int k = 0; k < kLanes; ++k) sums[4 * axis + c] += by[c][k];
  }
}

}  // namespace

void sample_gradient(Queue& queue, const SampleList& s, Image moving, const IndexMap& map, int bins, const float* gain,
                     double* gradient) {
  const std::int64_t pieces = (s.count + piece_samples - 1) / piece_samples;
  Scratch<double> partial(queue, 12 * pieces);
  double* const partials = partial;
  parallel(queue, s.count, piece_samples, [&](std::int64_t begin, std::int64_t end) {
    double* sums = partials + begin / piece_samples * 12;
    for (int k = 0; k < 12; ++k) sums[k] = 0;
    Block b = {};  // unused elements of a short block must be finite
    for (; begin < end; begin += block) {
      const int count = end - begin < block ? int(end - begin) : int(block);
      place(s, begin, count, moving, map.affine, bins, b);
      for (int i = 0; i < count; ++i) {
        const float* g = gain + b.bin[i];
        const float known = share(s.values[begin + i]);
        b.rise[i] = known * by_window(g, b.rising[0][i], b.rising[1][i], b.rising[2][i], b.rising[3][i]);
        b.level[i] = known * by_window(g, b.window[0][i], b.window[1][i], b.window[2][i], b.window[3][i]);
      }
      for (int i = count; i < block; ++i) b.rise[i] = b.level[i] = 0;
      add(s, begin, count, b, sums);
    }
  });
  for (int k = 0; k < 12; ++k) {
    gradient[k] = 0;
    for (std::int64_t i = 0; i < pieces; ++i) gradient[k] += partials[12 * i + k];
  }
}

}  // namespace mmreg::MMREG_TARGET
