// Mean over all windows of the squared local cross-correlation (Avants et al., 2008), from window means of five
// products, axis by axis, for one slab of planes at a time.
#include "core/correlation.h"
#include "cuda/reduce.h"
#include "cuda/separable.h"
#include "cuda/smoothing.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr std::int64_t kSlabVoxels = 1 << 22;  // limits the memory, ten numbers per voxel

struct Plus {
  template <class T>
  MMREG_DEVICE T operator()(const T& a, const T& b) const {
    return a + b;
  }
  MMREG_DEVICE Moments operator()(const Moments& a, const Moments& b) const {
    return {a.sum + b.sum, a.square + b.square};
  }
};

// Computes the statistics of an image; they stay on the device.
void find_statistics(Queue& queue, const float* image, std::int64_t count, Statistics* out) {
  const Scratch<Moments> memory(queue, 1);
  Moments* const moments = memory.data();
  const auto about_first = [=] MMREG_DEVICE(std::int64_t i) {
    const float v = image[i] - image[0];
    return Moments{double(v), double(v * v)};
  };
  fold_on_device(queue, count, Moments{}, about_first, Plus{}, moments);
  for_each(queue, 1, [=] MMREG_DEVICE(std::int64_t) { *out = statistics_of(*moments, image[0], double(count)); });
}

struct Images {
  const float *f, *g;
  const Statistics* of;  // of f and g
};

// Returns the five products of four values of both images, minus the image means.
MMREG_INLINE void products(Four f, Four g, const Statistics* of, Four (&product)[kCorrelatedProducts]) {
  for (int i = 0; i < 4; ++i) {
    const float a = f.v[i] - of[0].mean, b = g.v[i] - of[1].mean;
    product[0].v[i] = a;
    product[1].v[i] = b;
    product[2].v[i] = a * a;
    product[3].v[i] = b * b;
    product[4].v[i] = a * b;
  }
}

// Computes the means along z, (5, slab), for planes [first, first + slab.d).
void sum_depth(Queue& queue, const Images& images, Extent n, int first, Extent slab, const Weights& w, float* out) {
  const Images in = images;
  for_voxels(queue, {groups_of(slab.d), n.h, n.w}, [=] MMREG_DEVICE(const Voxel& v) {
    const std::int64_t plane = std::int64_t(n.h) * n.w, at = std::int64_t(v.y) * n.w + v.x;
    const int start = first + kOutputs * v.z - w.radius;
    float sum[kCorrelatedProducts][kOutputs] = {};
    for (int k = 0; k < w.steps; k += 4) {
      Four product[kCorrelatedProducts];
      products(four_of_line(in.f + at, n.d, plane, start + k), four_of_line(in.g + at, n.d, plane, start + k), in.of,
               product);
      for (int p = 0; p < kCorrelatedProducts; ++p) weigh_four(w, k, product[p], sum[p]);
    }
    for (int p = 0; p < kCorrelatedProducts; ++p)
      for (int s = 0; s < kOutputs && kOutputs * v.z + s < slab.d; ++s)
        out[p * voxels(slab) + (kOutputs * v.z + s) * plane + at] = sum[p][s];
  });
}

// Computes the means along y and the correlation.
void correlate(Queue& queue, const float* means, const Statistics* of, Extent slab, const Weights& w, float* map) {
  for_voxels(queue, {slab.d, groups_of(slab.h), slab.w}, [=] MMREG_DEVICE(const Voxel& v) {
    const std::int64_t at = std::int64_t(v.z) * slab.h * slab.w + v.x;
    const int first = kOutputs * v.y;
    float mean[kCorrelatedProducts][kOutputs] = {};
    for (int p = 0; p < kCorrelatedProducts; ++p) {
      const float* const line = means + p * voxels(slab) + at;
      weigh(w, [&](int k) { return four_of_line(line, slab.h, slab.w, first - w.radius + k); }, mean[p]);
    }
    const bool contrast = of[0].variance != 0 && of[1].variance != 0;
    for (int s = 0; s < kOutputs && first + s < slab.h; ++s) {
      const float m[kCorrelatedProducts] = {mean[0][s], mean[1][s], mean[2][s], mean[3][s], mean[4][s]};
      const float c = squared_correlation(m, kRaisedBy * of[0].variance, kRaisedBy * of[1].variance);
      map[at + std::int64_t(first + s) * slab.w] = contrast ? c : 0;
    }
  });
}

}  // namespace

double local_ncc(Queue& queue, const float* fixed, const float* moving, Extent n, int radius, float* map) {
  const Scratch<Statistics> statistics(queue, 2);
  find_statistics(queue, fixed, voxels(n), statistics.data());
  find_statistics(queue, moving, voxels(n), statistics.data() + 1);
  const std::int64_t plane = std::int64_t(n.h) * n.w, fitting = kSlabVoxels / plane / kOutputs * kOutputs;
  const int most = fitting < kOutputs ? kOutputs : fitting < n.d ? int(fitting) : n.d;
  const Scratch<float> sums(queue, kCorrelatedProducts * most * plane),
      means(queue, kCorrelatedProducts * most * plane);
  const Scratch<float> own_map(queue, map ? 0 : voxels(n));
  float* const out = map ? map : own_map.data();
  const Weights z = weights_of(box_taps(radius, n.d)), y = weights_of(box_taps(radius, n.h));
  for (int first = 0; first < n.d; first += most) {
    const Extent slab{n.d - first < most ? n.d - first : most, n.h, n.w};
    sum_depth(queue, {fixed, moving, statistics.data()}, n, first, slab, z, sums.data());
    filter_along(queue, 2, Image{sums.data(), slab, kCorrelatedProducts}, box_taps(radius, n.w), means.data());
    correlate(queue, means.data(), statistics.data(), slab, y, out + first * plane);
  }
  return fold(
             queue, voxels(n), 0.0, [=] MMREG_DEVICE(std::int64_t i) { return double(out[i]); }, Plus{}) /
         double(voxels(n));
}

}  // namespace mmreg::MMREG_TARGET
