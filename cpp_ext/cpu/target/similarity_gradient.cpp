// One pass of the similarity gradient. Lanes are channels: a voxel costs eight contiguous loads per 16 channels.
#include "core/similarity_gradient.h"

#include "core/parzen.h"
#include "cpu/target/lanes16.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kAhead = 20;  // prefetch distance along a row, in voxels
constexpr int kRows = 16;   // rows of one piece of work

struct PieceSums {  // partial sums of one piece of work
  float histogram[kHistogramCells];
  SimilaritySums sums;
};

struct Voxel {
  Cell z, y, x;
  float moved;  // sum of the components of its displacement
};

struct Pass {
  const SimilarityGradientArguments& a;
  const float (*window)[4];
  const float (*slope)[4];
  std::int64_t plane, count;
  int lane_intensity, lane_validity;
  Lanes16 feature_mask;  // 1 on the feature lanes of the last block

  MMREG_INLINE Slope<Lanes16> sample(const Voxel& p, int block) const {
    const Half* at = a.moving + (p.z.low + p.y.low + p.x.low) * a.channels + 16 * block;
    const std::int64_t dz = p.z.step * a.channels, dy = p.y.step * a.channels, dx = p.x.step * a.channels;
    const Half* const ahead = at + kAhead * a.channels;
    __builtin_prefetch(ahead);
    __builtin_prefetch(ahead + dy);
    __builtin_prefetch(ahead + dz);
    __builtin_prefetch(ahead + dz + dy);
    const Lanes16 corner[8] = {load_half(at),           load_half(at + dx),          load_half(at + dy),
                               load_half(at + dy + dx), load_half(at + dz),          load_half(at + dz + dx),
                               load_half(at + dz + dy), load_half(at + dz + dy + dx)};
    const float t[3] = {p.z.t, p.y.t, p.x.t};
    return trilinear_slope(corner, t);
  }

  MMREG_INLINE void voxel(std::int64_t i, const Voxel& p, PieceSums& piece) const {
    const Half* f = a.fixed + i * a.channels;
    __builtin_prefetch(f + kAhead * a.channels);
    const int last = a.channels / 16 - 1;
    FeatureGradient<Lanes16> features = {};
    for (int block = 0; block < last; ++block) {
      const Slope<Lanes16> s = sample(p, block);
      add(s.value - load_half(f + 16 * block), s, features);
    }
    const Slope<Lanes16> s = sample(p, last);
    const Lanes16 own = load_half(f + 16 * last);
    add((s.value - own) * feature_mask, s, features);
    const float valid = s.value[lane_validity] * own[lane_validity], energy = sum(features.energy);
    if (!is_compared(energy, own[lane_intensity], s.value[lane_intensity], valid, p.moved)) {
      for (int k = 0; k < 3; ++k) a.gradient[i + k * count] = 0;
      return;
    }
    float intensity = 0;
    if (a.gain || a.histogram) {
      const Bin bin = parzen_bin(s.value[lane_intensity]);
      const int row = joint_bin(own[lane_intensity], bin);
      if (a.gain) intensity = fall(slope[bin.step], a.gain + row);
      if (a.histogram)
        for (int k = 0; k < 4; ++k) piece.histogram[row + k] += window[bin.step][k] * valid;
    }
    const float inside[3] = {p.z.inside * valid, p.y.inside * valid, p.x.inside * valid};
    float squared = 0, squared_intensity = 0;
    for (int k = 0; k < 3; ++k) {
      const Gradient gradient =
          gradient_along(a, inside[k], sum(features.along[k]), intensity * s.along[k][lane_intensity]);
      squared += gradient.feature * gradient.feature;
      squared_intensity += gradient.intensity * gradient.intensity;
      a.gradient[i + k * count] = gradient.both;
    }
    piece.sums.features += 0.5 * valid * energy;
    piece.sums.features_squared += squared;
    piece.sums.intensity_squared += squared_intensity;
    piece.sums.count += valid;
  }

  void row(std::int64_t r, PieceSums& piece) const {
    const Extent n = a.n;
    const int begin = a.rows[2 * r], end = a.rows[2 * r + 1];
    const float z = float(r / n.h), y = float(r % n.h);
    for (int k = 0; k < 3; ++k) {
      float* out = a.gradient + k * count + r * n.w;
      for (int x = 0; x < begin; ++x) out[x] = 0;
      for (int x = end > begin ? end : begin; x < n.w; ++x) out[x] = 0;
    }
    for (int x = begin; x < end; ++x) {
      const std::int64_t i = r * n.w + x;
      voxel(i,
            {cell(z + a.u[i], n.d, plane), cell(y + a.u[i + count], n.h, n.w),
             cell(float(x) + a.u[i + 2 * count], n.w, 1), a.u[i] + a.u[i + count] + a.u[i + 2 * count]},
            piece);
    }
  }
};

void add(const PieceSums* pieces, std::int64_t count, const SimilarityGradientArguments& a) {
  *a.sums = {};
  if (a.histogram)
    for (int k = 0; k < kHistogramCells; ++k) a.histogram[k] = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const SimilaritySums& s = pieces[i].sums;
    a.sums->features += s.features;
    a.sums->count += s.count;
    a.sums->features_squared += s.features_squared;
    a.sums->intensity_squared += s.intensity_squared;
    if (a.histogram)
      for (int k = 0; k < kHistogramCells; ++k) a.histogram[k] += pieces[i].histogram[k];
  }
  a.sums->features /= a.channels - kExtraChannels;
}

}  // namespace

void similarity_gradient(Queue& queue, const SimilarityGradientArguments& a) {
  const std::int64_t rows = std::int64_t(a.n.d) * a.n.h, pieces = (rows + kRows - 1) / kRows;
  Scratch<PieceSums> partial(queue, pieces);
  Scratch<float> tables(queue, 2 * 4 * parzen_steps);
  float (*window)[4] = reinterpret_cast<float (*)[4]>(static_cast<float*>(tables));
  for (int s = 0; s < parzen_steps; ++s) parzen_entry(s, window[s], window[parzen_steps + s]);
  Pass pass{a,
            window,
            window + parzen_steps,
            std::int64_t(a.n.h) * a.n.w,
            voxels(a.n),
            16 + intensity_channel,
            16 + validity_channel,
            {}};
  for (int k = 0; k < 16 - kExtraChannels; ++k) pass.feature_mask[k] = 1;
  parallel(queue, rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    PieceSums& piece = partial[begin / kRows];
    __builtin_memset(&piece, 0, sizeof piece);
    for (std::int64_t r = begin; r < end; ++r) pass.row(r, piece);
  });
  add(partial, pieces, a);
}

}  // namespace mmreg::MMREG_TARGET
