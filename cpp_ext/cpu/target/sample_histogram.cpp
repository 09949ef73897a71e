// Joint histograms of fixed samples with the moving image under many affine maps. Positions and windows are computed in
// vectors, block by block, and added to four neighbouring bins at a time.
#include "core/covered_sample.h"
#include "core/window.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

enum {
  piece_samples = 8192,
  block = 128,
  copies = 2
};  // successive samples use two copies in turn, since they often share bins

typedef float Four __attribute__((vector_size(16)));

struct Block {
  alignas(64) float weight[4][block];
  alignas(64) int bin[block];  // index of the first of four bins in the joint histogram
};

void place(const SampleList& s, std::int64_t begin, int count, Image moving, const float* a, int bins, Block& out) {
  const float *z = s.points + begin, *y = z + s.count, *x = y + s.count, *value = s.values + begin;
  for (int i = 0; i < count; ++i) {
    const CoveredSample m = covered_sample(moving.data, moving.n, a, z[i], y[i], x[i]);
    const WindowPlace at = window_place(m.value, bins);
    float w[4];
    window_weights(at.t, w);
    for (int k = 0; k < 4; ++k) out.weight[k][i] = w[k] * (m.cover * share(value[i]));
    out.bin[i] = joint_bin(value[i], at, bins);
  }
}

MMREG_INLINE void add(const Block& b, int i, float* histogram) {
  Four bins;
  const Four weight = {b.weight[0][i], b.weight[1][i], b.weight[2][i], b.weight[3][i]};
  __builtin_memcpy(&bins, histogram + b.bin[i], sizeof bins);
  bins += weight;
  __builtin_memcpy(histogram + b.bin[i], &bins, sizeof bins);
}

void accumulate(const SampleList& s, std::int64_t begin, std::int64_t end, Image moving, const float* a, int bins,
                float* first, float* second) {
  Block b;
  for (; begin < end; begin += block) {
    const int count = end - begin < block ? int(end - begin) : int(block);
    place(s, begin, count, moving, a, bins, b);
    for (int i = 0; i + 1 < count; i += 2) {
      add(b, i, first);
      add(b, i + 1, second);
    }
    if (count % 2) add(b, count - 1, first);
  }
}

}  // namespace

void sample_histogram(Queue& queue, const SampleList& s, Image moving, const IndexMap* maps, int count, int bins,
                      float* histograms) {
  const std::int64_t size = std::int64_t(bins) * bins, pieces = (s.count + piece_samples - 1) / piece_samples;
  Scratch<float> partial(queue, count * pieces * copies * size);
  float* const partials = partial;
  parallel(queue, count * pieces, 1, [&](std::int64_t item, std::int64_t) {
    float* h = partials + item * copies * size;
    for (std::int64_t i = 0; i < copies * size; ++i) h[i] = 0;
    const std::int64_t begin = item % pieces * piece_samples, end = begin + piece_samples;
    accumulate(s, begin, end < s.count ? end : s.count, moving, maps[item / pieces].affine, bins, h, h + size);
  });
  parallel(queue, count, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t map = begin; map < end; ++map) {
      float* out = histograms + map * size;
      for (std::int64_t i = 0; i < size; ++i) out[i] = 0;
      for (const float *h = partials + map * pieces * copies * size, *last = h + pieces * copies * size; h < last;
           h += size)
        for (std::int64_t i = 0; i < size; ++i) out[i] += h[i];
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
