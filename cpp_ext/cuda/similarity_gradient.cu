// One pass of the similarity gradient. A thread processes a voxel in groups of eight channels, the size of one load;
// the threads of a warp process neighbours along a row, whose cells share most corners in the cache. Windows are
// counted per block in shared memory, in fixed point, so that the result does not depend on their order.
#include "core/similarity_gradient.h"
#include "cuda/lane.h"
#include "cuda/reduce.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kPieceRows = 16;  // rows per block; a warp processes every eighth of them
constexpr int kGroup = 8;       // channels per load

struct Entry {  // entry of the Parzen tables
  alignas(16) float weight[4];
};

struct Memory {  // shared memory of a block
  Entry window[parzen_steps], slope[parzen_steps];
  SimilaritySums sums[kBlockThreads];
  float gain[kHistogramCells];
  std::uint32_t histogram[kHistogramCells];
};

struct Totals {
  SimilaritySums sums;
  unsigned long long histogram[kHistogramCells];
};

MMREG_DEVICE SimilaritySums joined(const SimilaritySums& a, const SimilaritySums& b) {
  return {a.features + b.features, a.features_squared + b.features_squared, a.intensity_squared + b.intensity_squared,
          a.count + b.count};
}

struct Place {
  Cell z, y, x;
  float moved;  // sum of the components of its displacement
};

struct Sums {  // over the voxels of one thread
  float features, features_squared, intensity_squared, count;
};

template <int channel>
MMREG_DEVICE Slope<float> slope_of(const Eight (&corner)[8], const float (&t)[3]) {
  float c[8];
  for (int i = 0; i < 8; ++i) c[i] = corner[i][channel];
  return trilinear_slope(c, t);
}

template <int channel, int end>
MMREG_DEVICE void add_channels(const Eight (&corner)[8], const float (&t)[3], const Eight& own,
                               FeatureGradient<float>& features) {
  if constexpr (channel < end) {
    const Slope<float> s = slope_of<channel>(corner, t);
    add(s.value - own[channel], s, features);
    add_channels<channel + 1, end>(corner, t, own, features);
  }
}

struct Pass {
  SimilarityGradientArguments a;
  std::int64_t plane, count;
  float scale;  // of the fixed-point counts

  MMREG_DEVICE void corners(const Place& p, int first, Eight (&corner)[8]) const {
    const Half* const at = a.moving + (p.z.low + p.y.low + p.x.low) * a.channels + first;
    const std::int64_t dz = p.z.step * a.channels, dy = p.y.step * a.channels, dx = p.x.step * a.channels;
    for (int i = 0; i < 8; ++i) corner[i] = load_eight(at + (i & 4 ? dz : 0) + (i & 2 ? dy : 0) + (i & 1 ? dx : 0));
  }

  // Returns minus the derivative of the gain with respect to the moving intensity, and counts the voxel.
  MMREG_DEVICE float compare(float fixed, float moving, float valid, Memory& memory) const {
    const Bin bin = parzen_bin(moving);
    const int row = joint_bin(fixed, bin);
    if (a.histogram && valid > 0)
      for (int k = 0; k < 4; ++k)
        atomic_add(memory.histogram + row + k, std::uint32_t(memory.window[bin.step].weight[k] * valid * scale + 0.5f));
    return a.gain ? fall(memory.slope[bin.step].weight, memory.gain + row) : 0.0f;
  }

  MMREG_DEVICE void voxel(std::int64_t i, const Place& p, Memory& memory, Sums& sums) const {
    const Half* const fixed = a.fixed + i * a.channels;
    const float t[3] = {p.z.t, p.y.t, p.x.t};
    const int last = a.channels - kGroup;  // four features and the extra channels
    FeatureGradient<float> features = {};
    Eight corner[8];
    for (int c = 0; c < last; c += kGroup) {
      corners(p, c, corner);
      add_channels<0, kGroup>(corner, t, load_eight(fixed + c), features);
    }
    corners(p, last, corner);
    const Eight own = load_eight(fixed + last);
    add_channels<0, kGroup - kExtraChannels>(corner, t, own, features);
    const Slope<float> s = slope_of<kGroup + intensity_channel>(corner, t);
    const float valid = slope_of<kGroup + validity_channel>(corner, t).value * own[kGroup + validity_channel];
    if (!is_compared(features.energy, own[kGroup + intensity_channel], s.value, valid, p.moved)) {
      for (int k = 0; k < 3; ++k) a.gradient[i + k * count] = 0;
      return;
    }
    const float intensity = compare(own[kGroup + intensity_channel], s.value, valid, memory);
    const float inside[3] = {p.z.inside * valid, p.y.inside * valid, p.x.inside * valid};
    for (int k = 0; k < 3; ++k) {
      const Gradient gradient = gradient_along(a, inside[k], features.along[k], intensity * s.along[k]);
      sums.features_squared += gradient.feature * gradient.feature;
      sums.intensity_squared += gradient.intensity * gradient.intensity;
      a.gradient[i + k * count] = gradient.both;
    }
    sums.features += 0.5f * valid * features.energy;
    sums.count += valid;
  }

  MMREG_DEVICE void row(std::int64_t r, int lane, Memory& memory, Sums& sums) const {
    const int begin = a.rows[2 * r], end = a.rows[2 * r + 1], z = int(r / a.n.h), y = int(r - std::int64_t(z) * a.n.h);
    for (int x = lane; x < a.n.w; x += kTileColumns) {
      const std::int64_t i = r * a.n.w + x;
      if (x >= begin && x < end) {
        const Place p{cell(float(z) + a.u[i], a.n.d, plane), cell(float(y) + a.u[i + count], a.n.h, a.n.w),
                      cell(float(x) + a.u[i + 2 * count], a.n.w, 1), a.u[i] + a.u[i + count] + a.u[i + 2 * count]};
        voxel(i, p, memory, sums);
      } else {
        for (int k = 0; k < 3; ++k) a.gradient[i + k * count] = 0;
      }
    }
  }

  MMREG_DEVICE void prepare(int t, Memory& memory) const {
    for (int k = t; k < parzen_steps; k += kBlockThreads)
      parzen_entry(k, memory.window[k].weight, memory.slope[k].weight);
    for (int k = t; k < kHistogramCells; k += kBlockThreads) {
      memory.histogram[k] = 0;
      if (a.gain) memory.gain[k] = a.gain[k];
    }
  }

  MMREG_DEVICE void rows(int block, int t, Memory& memory) const {
    Sums sums = {};
    const std::int64_t first = std::int64_t(block) * kPieceRows, all = std::int64_t(a.n.d) * a.n.h;
    for (int k = t / kTileColumns; k < kPieceRows && first + k < all; k += kTileRows)
      row(first + k, t % kTileColumns, memory, sums);
    memory.sums[t] = {sums.features, sums.features_squared, sums.intensity_squared, sums.count};
  }

  MMREG_DEVICE void finish(int block, int t, const Memory& memory, SimilaritySums* partial, Totals* totals) const {
    if (t == 0) partial[block] = memory.sums[0];
    for (int k = t; k < kHistogramCells; k += kBlockThreads)
      if (memory.histogram[k]) atomic_add(totals->histogram + k, memory.histogram[k]);
  }
};

// A voxel adds at most 2/3 to a bin, so that a block cannot overflow 32 bits.
float scale_of(Extent n) { return float((1u << 31) / (unsigned(kPieceRows) * unsigned(n.w))); }

void compare(Queue& queue, const Pass& pass, SimilaritySums* partial, std::int64_t pieces, Totals* totals) {
  if (pass.a.histogram)
    for_each(queue, kHistogramCells, [=] MMREG_DEVICE(std::int64_t k) { totals->histogram[k] = 0; });
  for_blocks(queue, pieces, sizeof(Memory), [=] MMREG_DEVICE(const Block& block) {
    Memory* const memory = reinterpret_cast<Memory*>(block.memory);
    block.threads([=] MMREG_DEVICE(int t) { pass.prepare(t, *memory); });
    block.threads([=] MMREG_DEVICE(int t) { pass.rows(block.index, t, *memory); });
    fold_block(block, memory->sums,
               [=] MMREG_DEVICE(const SimilaritySums& a, const SimilaritySums& b) { return joined(a, b); });
    block.threads([=] MMREG_DEVICE(int t) { pass.finish(block.index, t, *memory, partial, totals); });
  });
}

}  // namespace

void similarity_gradient(Queue& queue, const SimilarityGradientArguments& a) {
  const std::int64_t rows = std::int64_t(a.n.d) * a.n.h, pieces = (rows + kPieceRows - 1) / kPieceRows;
  const Pass pass{a, std::int64_t(a.n.h) * a.n.w, voxels(a.n), scale_of(a.n)};
  const Scratch<SimilaritySums> partial(queue, pieces);
  const Scratch<Totals> totals(queue, 1);
  compare(queue, pass, partial.data(), pieces, totals.data());
  fold_on_device(
      queue, pieces, SimilaritySums{}, Stored<SimilaritySums>{partial.data()},
      [=] MMREG_DEVICE(const SimilaritySums& x, const SimilaritySums& y) { return joined(x, y); },
      &totals.data()->sums);
  Totals result;
  download(queue, &result, totals.data(), a.histogram ? sizeof result : sizeof result.sums);
  *a.sums = result.sums;
  a.sums->features /= a.channels - kExtraChannels;
  if (a.histogram)
    for (int k = 0; k < kHistogramCells; ++k) a.histogram[k] = double(result.histogram[k]) / pass.scale;
}

}  // namespace mmreg::MMREG_TARGET
