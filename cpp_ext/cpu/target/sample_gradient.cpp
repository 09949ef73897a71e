// Derivative of a function of the joint histogram by the twelve numbers of the affine index map.
#include "core/covered_sample.h"
#include "core/window.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

enum { piece_samples = 8192, block = 128, lanes = 16 };

struct Block {
  alignas(64) float slope[3][block], window[4][block], rise[block];
  alignas(64) int bin[block];
};

void place(const SampleList& s, std::int64_t begin, int count, const float* moving, Extent n, const float* a, int bins,
           Block& out) {
  const float *z = s.points + begin, *y = z + s.count, *x = y + s.count, *value = s.values + begin;
  for (int i = 0; i < count; ++i) {
    const CoveredSample m = covered_sample(moving, n, a[0] * z[i] + a[1] * y[i] + a[2] * x[i] + a[3],
                                           a[4] * z[i] + a[5] * y[i] + a[6] * x[i] + a[7],
                                           a[8] * z[i] + a[9] * y[i] + a[10] * x[i] + a[11]);
    const WindowPlace at = window_place(m.value, bins);
    float w[4];
    window_slopes(at.t, w);
    for (int k = 0; k < 4; ++k) out.window[k][i] = w[k];
    for (int k = 0; k < 3; ++k) out.slope[k][i] = m.slope[k] * m.cover;
    out.bin[i] = nearest_bin(value[i], bins) * bins + at.first;
  }
}

void add(const SampleList& s, std::int64_t begin, int count, const Block& b, double* sums) {
  const float *z = s.points + begin, *y = z + s.count, *x = y + s.count;
  for (int axis = 0; axis < 3; ++axis) {
    float by[4][lanes] = {};  // sums of a block in lanes, so that they vectorise; blocks are added in double
    for (int i = 0; i < count; i += lanes)
      for (int k = 0; k < lanes && i + k < count; ++k) {
        const float f = b.rise[i + k] * b.slope[axis][i + k];
        by[0][k] += f * z[i + k], by[1][k] += f * y[i + k], by[2][k] += f * x[i + k], by[3][k] += f;
      }
    for (int c = 0; c < 4; ++c)
      for (int k = 0; k < lanes; ++k) sums[4 * axis + c] += by[c][k];
  }
}

}  // namespace

void sample_gradient(Queue& queue, const SampleList& s, const float* moving, Extent n, const IndexMap& map, int bins,
                     const float* gain, double* gradient) {
  const std::int64_t pieces = (s.count + piece_samples - 1) / piece_samples;
  Scratch<double> partial(queue, 12 * pieces);
  double* const partials = partial;
  parallel(queue, s.count, piece_samples, [&](std::int64_t begin, std::int64_t end) {
    double* sums = partials + begin / piece_samples * 12;
    for (int k = 0; k < 12; ++k) sums[k] = 0;
    Block b;
    for (; begin < end; begin += block) {
      const int count = end - begin < block ? int(end - begin) : int(block);
      place(s, begin, count, moving, n, map.affine, bins, b);
      for (int i = 0; i < count; ++i) {
        const float* g = gain + b.bin[i];
        b.rise[i] = g[0] * b.window[0][i] + g[1] * b.window[1][i] + g[2] * b.window[2][i] + g[3] * b.window[3][i];
      }
      add(s, begin, count, b, sums);
    }
  });
  for (int k = 0; k < 12; ++k) {
    gradient[k] = 0;
    for (std::int64_t i = 0; i < pieces; ++i) gradient[k] += partials[12 * i + k];
    gradient[k] *= bins - 3;  // bins per unit of intensity
  }
}

}  // namespace mmreg::MMREG_TARGET
