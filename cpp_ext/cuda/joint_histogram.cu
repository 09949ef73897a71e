// Joint histograms. Neighbouring voxels often fall into the same cell, so a thread sums runs of them before it adds to
// the table. The table is in shared memory, with 32-bit fixed point, or, if that is too small, in global memory with 64
// bits. In the Parzen form a cell holds the moments 1, t, t^2, t^3 of its samples, as on the CPU.
#include <vector>
// clang-format off: the order of these headers matters
#include "cuda/lane.h"
#include "core/bins.h"
// clang-format on
#include "cuda/launch.h"
#include "cuda/queue.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

typedef unsigned long long Word;

constexpr int kSideBySide = 4, kTurns = 8;  // consecutive voxels per thread and turn; turns per thread
constexpr int kPiece = kSideBySide * kTurns * kBlockThreads;

// 1 in fixed point. The moments of a piece, each at most 1 and rounded up by at most 1/2, cannot overflow 32 bits;
// those of 2^31 voxels cannot overflow 64.
constexpr float kSharedUnit = float((1u << 19) - 1), kGlobalUnit = float(1u << 31);
static_assert(kPiece == 1 << 13, "the unit depends on this number of voxels");

struct Samples {
  const float *fixed, *moving;
  const std::uint8_t* mask;
  std::int64_t count;
  Scale f, m;
  int moving_bins, cells;
};

template <int Moments>
struct Run {  // consecutive voxels in the same cell
  int cell;
  float moment[Moments];
};

// Tables of cells, one per moment.
template <class Count>
struct Tables {
  Count* data;
  int cells;
  float unit;
  template <int Moments>
  MMREG_DEVICE void add(const Run<Moments>& run) const {
    if (run.cell < 0) return;
    atomic_add(data + run.cell, Count(run.moment[0]));  // an integer
    for (int k = 1; k < Moments; ++k)
      if (run.moment[k] > 0) atomic_add(data + k * std::int64_t(cells) + run.cell, Count(run.moment[k] * unit + 0.5f));
  }
};

template <int Moments, class Count>
MMREG_DEVICE void count_voxel(const Samples& s, float fixed, float moving, const Tables<Count>& tables,
                              Run<Moments>& run) {
  const Bins f = bins_of(fixed, s.f), m = bins_of(moving, s.m);
  const int cell = f.index * s.moving_bins + m.index;
  if (cell != run.cell) {
    tables.add(run);
    run = {cell, {}};
  }
  float power = 1;
  for (int k = 0; k < Moments; ++k, power *= m.t) run.moment[k] += power;
}

template <int Moments, class Count>
MMREG_DEVICE void count_voxels(const Samples& s, std::int64_t first, const Tables<Count>& tables, Run<Moments>& run) {
  float fixed[kSideBySide], moving[kSideBySide];
  bool counts[kSideBySide];
  for (int k = 0; k < kSideBySide; ++k) {
    const bool exists = first + k < s.count;
    counts[k] = exists && (!s.mask || s.mask[first + k]);
    fixed[k] = exists ? s.fixed[first + k] : 0;
    moving[k] = exists ? s.moving[first + k] : 0;
  }
  for (int k = 0; k < kSideBySide; ++k)
    if (counts[k] && countable(fixed[k], moving[k])) count_voxel(s, fixed[k], moving[k], tables, run);
}

template <int Moments, class Count>
MMREG_DEVICE void count_piece(const Samples& s, int index, int thread, const Tables<Count>& tables) {
  Run<Moments> run{-1, {}};
  const std::int64_t begin = std::int64_t(index) * kPiece + thread * kSideBySide;
  for (int k = 0; k < kTurns; ++k) count_voxels(s, begin + k * kSideBySide * kBlockThreads, tables, run);
  tables.add(run);
}

template <int Moments>
void count_in_shared_memory(Queue& queue, const Samples& s, std::int64_t pieces, Word* totals) {
  const int size = Moments * s.cells;
  for_blocks(queue, pieces, size * int(sizeof(std::uint32_t)), [=] MMREG_DEVICE(const Block& block) {
    std::uint32_t* const own = reinterpret_cast<std::uint32_t*>(block.memory);
    block.threads([=] MMREG_DEVICE(int t) {
      for (int i = t; i < size; i += kBlockThreads) own[i] = 0;
    });
    block.threads([&] MMREG_DEVICE(int t) {
      count_piece<Moments>(s, block.index, t, Tables<std::uint32_t>{own, s.cells, kSharedUnit});
    });
    block.threads([=] MMREG_DEVICE(int t) {
      for (int i = t; i < size; i += kBlockThreads)
        if (own[i]) atomic_add(totals + i, Word(own[i]));
    });
  });
}

template <int Moments>
void count_in_global_memory(Queue& queue, const Samples& s, std::int64_t pieces, Word* totals) {
  for_blocks(queue, pieces, 0, [=] MMREG_DEVICE(const Block& block) {
    block.threads([&] MMREG_DEVICE(int t) {
      count_piece<Moments>(s, block.index, t, Tables<Word>{totals, s.cells, kGlobalUnit});
    });
  });
}

// Returns (cells, moments) in host memory.
template <int Moments>
std::vector<double> moments_of(Queue& queue, const Samples& s) {
  const std::int64_t size = Moments * std::int64_t(s.cells), pieces = (s.count + kPiece - 1) / kPiece;
  const Scratch<Word> memory(queue, size);
  Word* const totals = memory.data();
  for_each(queue, size, [=] MMREG_DEVICE(std::int64_t i) { totals[i] = 0; });
  const bool shared = size * std::int64_t(sizeof(std::uint32_t)) <= kMostSharedBytes;
  (shared ? count_in_shared_memory<Moments> : count_in_global_memory<Moments>)(queue, s, pieces, totals);
  std::vector<Word> sums(static_cast<std::size_t>(size));
  download(queue, sums.data(), totals, sizeof(Word) * sums.size());
  std::vector<double> moments(sums.size());
  const double unit = shared ? kSharedUnit : kGlobalUnit;
  for (int k = 0; k < Moments; ++k)
    for (int i = 0; i < s.cells; ++i)
      moments[std::size_t(Moments) * i + k] = double(sums[k * std::size_t(s.cells) + i]) / (k ? unit : 1.0);
  return moments;
}

}  // namespace

void joint_histogram(Queue& queue, const float* fixed, const float* moving, const std::uint8_t* mask,
                     std::int64_t count, Binning fixed_bins, Binning moving_bins, Parzen parzen, double* histogram) {
  const Scale m = scale_of(moving_bins, parzen);
  const int cells = fixed_bins.bins * moving_bins.bins;
  const Samples s{fixed, moving, mask, count, scale_of(fixed_bins, parzen), m, moving_bins.bins, cells};
  if (parzen == Parzen::cubic) return spread(moments_of<4>(queue, s).data(), cells, moving_bins.bins, m, histogram);
  const std::vector<double> counts = moments_of<1>(queue, s);
  for (int i = 0; i < cells; ++i) histogram[i] = counts[std::size_t(i)];
}

}  // namespace mmreg::MMREG_TARGET
