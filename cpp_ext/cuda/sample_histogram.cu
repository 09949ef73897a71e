// Joint histograms of fixed samples with the moving image under many affine maps. A block counts a piece of the samples
// under one map in shared memory, in fixed point, so that the result does not depend on their order.
#include "core/covered_sample.h"
#include "core/window.h"
#include "cuda/launch.h"
#include "cuda/queue.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kMostMaps = 64;  // per launch, passed as kernel arguments
constexpr int kLeastPiece = 4 * kBlockThreads, kMostPieces = 64;

struct Maps {
  IndexMap map[kMostMaps];
};

struct Counting {
  SampleList fixed;
  Image moving;
  int bins, piece, pieces;  // bins along an axis, samples per piece, number of pieces
  float scale;              // of the fixed-point counts

  int cells() const { return bins * bins; }
};

Counting counting_of(const SampleList& fixed, Image moving, int bins) {
  const std::int64_t fair = (fixed.count + kMostPieces - 1) / kMostPieces;
  const int piece = fair < kLeastPiece ? kLeastPiece : int(fair);
  // a sample adds less than 1 to a bin, so that a piece cannot overflow 32 bits
  return {fixed, moving, bins, piece, int((fixed.count + piece - 1) / piece), float((1u << 31) / unsigned(piece))};
}

MMREG_DEVICE void count_sample(const Counting& c, const float* map, std::int64_t i, std::uint32_t* histogram) {
  const float* const z = c.fixed.points + i;
  const CoveredSample m = covered_sample(c.moving.data, c.moving.n, map, z[0], z[c.fixed.count], z[2 * c.fixed.count]);
  const float fixed = c.fixed.values[i], cover = m.cover * share(fixed);
  if (!(cover > 0)) return;
  const WindowPlace at = window_place(m.value, c.bins);
  float w[4];
  window_weights(at.t, w);
  std::uint32_t* const bin = histogram + joint_bin(fixed, at, c.bins);
  for (int k = 0; k < 4; ++k) atomic_add(bin + k, std::uint32_t(w[k] * cover * c.scale + 0.5f));
}

MMREG_DEVICE void count_piece(const Counting& c, const float* map, int piece, int thread, std::uint32_t* histogram) {
  const std::int64_t begin = std::int64_t(piece) * c.piece, end = begin + c.piece;
  for (std::int64_t i = begin + thread; i < end && i < c.fixed.count; i += kBlockThreads)
    count_sample(c, map, i, histogram);
}

// Computes partial[map][piece][cell].
void count_pieces(Queue& queue, const Counting& c, const Maps& maps, int count, std::uint32_t* partial) {
  const int cells = c.cells();
  for_blocks(queue, std::int64_t(count) * c.pieces, cells * int(sizeof(std::uint32_t)),
             [=] MMREG_DEVICE(const Block& block) {
               std::uint32_t* const histogram = reinterpret_cast<std::uint32_t*>(block.memory);
               const int map = block.index / c.pieces, piece = block.index - map * c.pieces;
               std::uint32_t* const out = partial + std::int64_t(block.index) * cells;
               block.threads([=] MMREG_DEVICE(int t) {
                 for (int i = t; i < cells; i += kBlockThreads) histogram[i] = 0;
               });
               block.threads([&] MMREG_DEVICE(int t) { count_piece(c, maps.map[map].affine, piece, t, histogram); });
               block.threads([=] MMREG_DEVICE(int t) {
                 for (int i = t; i < cells; i += kBlockThreads) out[i] = histogram[i];
               });
             });
}

void add_pieces(Queue& queue, const Counting& c, const std::uint32_t* partial, int count, float* histograms) {
  const int cells = c.cells(), pieces = c.pieces;
  const double unit = 1.0 / c.scale;
  for_each(queue, std::int64_t(count) * cells, [=] MMREG_DEVICE(std::int64_t i) {
    const std::int64_t map = i / cells, cell = i - map * cells;
    unsigned long long sum = 0;
    for (int p = 0; p < pieces; ++p) sum += partial[(map * pieces + p) * cells + cell];
    histograms[i] = float(double(sum) * unit);
  });
}

}  // namespace

void sample_histogram(Queue& queue, const SampleList& fixed, Image moving, const IndexMap* maps, int count, int bins,
                      float* histograms) {
  const Counting c = counting_of(fixed, moving, bins);
  const int most = count < kMostMaps ? count : kMostMaps;
  const Scratch<std::uint32_t> partial(queue, std::int64_t(most) * c.pieces * c.cells());
  for (int first = 0; first < count; first += kMostMaps) {
    const int some = count - first < kMostMaps ? count - first : kMostMaps;
    Maps batch;
    for (int k = 0; k < some; ++k) batch.map[k] = maps[first + k];
    count_pieces(queue, c, batch, some, partial.data());
    add_pieces(queue, c, partial.data(), some, histograms + std::int64_t(first) * c.cells());
  }
}

}  // namespace mmreg::MMREG_TARGET
