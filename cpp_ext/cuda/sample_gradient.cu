// Derivative of a function of the joint histogram with respect to the twelve numbers of the affine index map: a few
// samples per thread in single precision, their sums in double.
#include "core/covered_sample.h"
#include "core/window.h"
#include "cuda/reduce.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kPieceSamples = 4 * kBlockThreads;

struct Derivative {
  double by[12];
};

struct AddDerivatives {
  MMREG_DEVICE Derivative operator()(Derivative a, const Derivative& b) const {
    for (int k = 0; k < 12; ++k) a.by[k] += b.by[k];
    return a;
  }
};

struct Differentiation {
  SampleList fixed;
  Image moving;
  IndexMap map;
  int bins;
  const float* gain;
};

MMREG_DEVICE void add_sample(const Differentiation& d, std::int64_t i, float (&by)[12]) {
  const float z = d.fixed.points[i], y = d.fixed.points[i + d.fixed.count], x = d.fixed.points[i + 2 * d.fixed.count];
  const CoveredSample m = covered_sample(d.moving.data, d.moving.n, d.map.affine, z, y, x);
  const WindowPlace at = window_place(m.value, d.bins);
  float w[4], r[4];
  window_weights(at.t, w);
  window_slopes(at.t, r);
  const float fixed = d.fixed.values[i], known = share(fixed);
  const float* const gain = d.gain + joint_bin(fixed, at, d.bins);
  const float rise = known * by_window(gain, r[0], r[1], r[2], r[3]);
  const float level = known * by_window(gain, w[0], w[1], w[2], w[3]);
  for (int axis = 0; axis < 3; ++axis) {
    const float f = by_place(rise, covered_slope(m.slope[axis], m.cover, d.bins), level, m.fade[axis]);
    by[4 * axis] += f * number_or_zero(z);
    by[4 * axis + 1] += f * number_or_zero(y);
    by[4 * axis + 2] += f * number_or_zero(x);
    by[4 * axis + 3] += f;
  }
}

MMREG_DEVICE Derivative add_samples(const Differentiation& d, int piece, int thread) {
  const std::int64_t begin = std::int64_t(piece) * kPieceSamples, end = begin + kPieceSamples;
  float by[12] = {};
  for (std::int64_t i = begin + thread; i < end && i < d.fixed.count; i += kBlockThreads) add_sample(d, i, by);
  Derivative sum;
  for (int k = 0; k < 12; ++k) sum.by[k] = by[k];
  return sum;
}

}  // namespace

void sample_gradient(Queue& queue, const SampleList& fixed, Image moving, const IndexMap& map, int bins,
                     const float* gain, double* gradient) {
  const Differentiation d{fixed, moving, map, bins, gain};
  const std::int64_t pieces = (fixed.count + kPieceSamples - 1) / kPieceSamples;
  const Scratch<Derivative> memory(queue, pieces);
  Derivative* const partial = memory.data();
  for_blocks(queue, pieces, int(sizeof(Derivative)) * kBlockThreads, [=] MMREG_DEVICE(const Block& block) {
    Derivative* const sums = reinterpret_cast<Derivative*>(block.memory);
    block.threads([&] MMREG_DEVICE(int t) { sums[t] = add_samples(d, block.index, t); });
    fold_block(block, sums, AddDerivatives{});
    block.threads([=] MMREG_DEVICE(int t) {
      if (t == 0) partial[block.index] = sums[0];
    });
  });
  fold_on_device(queue, pieces, Derivative{}, Stored<Derivative>{partial}, AddDerivatives{},
                 reinterpret_cast<Derivative*>(gradient));
}

}  // namespace mmreg::MMREG_TARGET
