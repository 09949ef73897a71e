// Joint histograms. Neighbouring voxels often fall into the same cell, and an addition waits for the previous write to
// its cell; consecutive voxels therefore use different tables, which are added in a fixed order. In the Parzen form a
// cell holds the moments 1, t, t^2, t^3 of its samples: the window is a cubic polynomial of t, so that the samples are
// spread over the bins once, after counting.
// clang-format off: the order of these headers matters
#include "cpu/target/simd.h"
#include "core/bins.h"
// clang-format on
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kBlock = 512;      // voxels whose cells are computed together
constexpr int kFlush = 1 << 16;  // voxels after which float sums are added to double sums
constexpr int kCountTables = 4, kMomentTables = 2;

typedef float Moments __attribute__((vector_size(16)));

struct Samples {
  const float *fixed, *moving;
  const std::uint8_t* mask;
  Scale f, m;
  int moving_bins, cells;  // the cell after the last one receives skipped voxels
};

// Computes the cells of the voxels [begin, end), at most kBlock, and their positions inside the moving bins.
void find_cells(const Samples& s, std::int64_t begin, std::int64_t end, std::int32_t* cell, float* t) {
  const int count = int(end - begin);
  for (int i = 0; i < count; i += kLanes) {
    const int n = count - i < kLanes ? count - i : kLanes;
    const Floats fixed = load(s.fixed + begin + i, n), moving = load(s.moving + begin + i, n);
    const Bins f = bins_of(fixed, s.f), m = bins_of(moving, s.m);
    store(cell + i, countable(fixed, moving) ? f.index * s.moving_bins + m.index : splat(s.cells));
    if (t) store(t + i, m.t);
  }
  if (s.mask)
    for (int i = 0; i < count; ++i) cell[i] = s.mask[begin + i] ? cell[i] : s.cells;
}

void count_samples(const Samples& s, std::int64_t begin, std::int64_t end, std::uint32_t* tables) {
  const int size = s.cells + 1;
  for (std::int64_t i = 0; i < kCountTables * size; ++i) tables[i] = 0;
  std::int32_t cell[kBlock];
  for (std::int64_t i = begin; i < end; i += kBlock) {
    const int count = end - i < kBlock ? int(end - i) : kBlock;
    find_cells(s, i, i + count, cell, nullptr);
    int j = 0;
    for (; j + kCountTables <= count; j += kCountTables)
      for (int k = 0; k < kCountTables; ++k) ++tables[k * size + cell[j + k]];
    for (; j < count; ++j) ++tables[cell[j]];
  }
}

void add_moments(const Samples& s, std::int64_t begin, std::int64_t end, Moments* tables) {
  std::int32_t cell[kBlock];
  float t[kBlock];
  Moments moments[kBlock];
  for (std::int64_t i = begin; i < end; i += kBlock) {
    const int count = end - i < kBlock ? int(end - i) : kBlock;
    find_cells(s, i, i + count, cell, t);
    for (int j = 0; j < count; ++j) moments[j] = Moments{1.0f, t[j], t[j] * t[j], t[j] * t[j] * t[j]};
    for (int j = 0; j < count; ++j) tables[j % kMomentTables * (s.cells + 1) + cell[j]] += moments[j];
  }
}

void sum_moments(const Samples& s, std::int64_t begin, std::int64_t end, Moments* tables, double* total) {
  for (int i = 0; i < 4 * s.cells; ++i) total[i] = 0;
  for (std::int64_t i = begin; i < end; i += kFlush) {
    for (int j = 0; j < kMomentTables * (s.cells + 1); ++j) tables[j] = Moments{};
    add_moments(s, i, i + kFlush < end ? i + kFlush : end, tables);
    for (int k = 0; k < kMomentTables; ++k)
      for (int j = 0; j < s.cells; ++j)
        for (int m = 0; m < 4; ++m) total[4 * j + m] += double(tables[k * (s.cells + 1) + j][m]);
  }
}

std::int64_t grain_of(std::int64_t count, int cells) {
  const int pieces = cells <= 4096 ? 32 : 4;
  const std::int64_t grain = (count + pieces - 1) / pieces;
  return grain < kFlush ? kFlush : grain;
}

void hard_histogram(Queue& queue, const Samples& s, std::int64_t count, double* histogram) {
  const std::int64_t grain = grain_of(count, s.cells), pieces = (count + grain - 1) / grain;
  const std::int64_t size = kCountTables * (s.cells + 1);
  Scratch<std::uint32_t> tables(queue, pieces * size);
  parallel(queue, count, grain,
           [&](std::int64_t begin, std::int64_t end) { count_samples(s, begin, end, tables + begin / grain * size); });
  for (int i = 0; i < s.cells; ++i) {
    std::uint64_t total = 0;
    for (std::int64_t p = 0; p < pieces * kCountTables; ++p) total += tables[p * (s.cells + 1) + i];
    histogram[i] = double(total);
  }
}

void parzen_histogram(Queue& queue, const Samples& s, std::int64_t count, double* histogram) {
  const std::int64_t grain = grain_of(count, s.cells), pieces = (count + grain - 1) / grain;
  const std::int64_t size = kMomentTables * (s.cells + 1);
  Scratch<Moments> tables(queue, pieces * size);
  Scratch<double> totals(queue, pieces * 4 * s.cells);
  parallel(queue, count, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t p = begin / grain;
    sum_moments(s, begin, end, tables + p * size, totals + p * 4 * s.cells);
  });
  for (std::int64_t p = 1; p < pieces; ++p)
    for (int i = 0; i < 4 * s.cells; ++i) totals[i] += totals[p * 4 * s.cells + i];
  spread(totals, s.cells, s.moving_bins, s.m, histogram);
}

}  // namespace

void joint_histogram(Queue& queue, const float* fixed, const float* moving, const std::uint8_t* mask,
                     std::int64_t count, Binning fixed_bins, Binning moving_bins, Parzen parzen, double* histogram) {
  const Samples s{fixed,
                  moving,
                  mask,
                  scale_of(fixed_bins, parzen),
                  scale_of(moving_bins, parzen),
                  moving_bins.bins,
                  fixed_bins.bins * moving_bins.bins};
  (parzen == Parzen::none ? hard_histogram : parzen_histogram)(queue, s, count, histogram);
}

}  // namespace mmreg::MMREG_TARGET
