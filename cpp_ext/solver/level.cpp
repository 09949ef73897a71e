#include "solver/level.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

constexpr int kMargin = 3;          // voxels around the foreground that still see it in their features
constexpr int kPatchRadius = 1;     // of MIND-SSC on every level
constexpr float kElsewhere = 0.3f;  // presence outside of the body: enough to be a map there, too

struct Pooled {  // an image on the level, or the image itself where the level is the whole grid
  TableMemory<float> memory;
  const float* data;
};

bool whole(const Factor& f) { return f.f[0] == 1 && f.f[1] == 1 && f.f[2] == 1; }

Pooled pooled(const Operations& operations, Queue& queue, const float* image, Extent n, const Factor& factor) {
  if (whole(factor)) return {{}, image};
  TableMemory<float> memory(operations, queue, std::size_t(voxels(extent_of(n, factor))));
  operations.pool(queue, image, 1, n, factor.f, memory.data());
  const float* data = memory.data();
  return {std::move(memory), data};
}

// Where either image, smoothed over the noise, shows tissue.
TableMemory<float> presence_of(const Operations& operations, Queue& queue, const Pooled images[2],
                               const std::uint8_t* const valid[2], const float tissue[2], Extent n) {
  const std::size_t count = std::size_t(voxels(n));
  const float smoothing[3] = {1, 1, 1};
  TableMemory<float> smooth(operations, queue, count);
  TableMemory<std::uint8_t> body(operations, queue, count);
  TableMemory<float> presence = uploaded(operations, queue, std::vector<float>(count, kElsewhere));
  const TableMemory<float> full = uploaded(operations, queue, std::vector<float>(count, 1.0f));
  for (int i = 0; i < 2; ++i) {
    operations.gaussian(queue, images[i].data, 1, n, smoothing, smooth.data());
    operations.above(queue, smooth.data(), valid[i], std::int64_t(count), tissue[i], body.data());
    operations.select(queue, body.data(), std::int64_t(count), full.data(), presence.data(), presence.data());
  }
  return presence;
}

}  // namespace

Factor factor_of(int wanted, const DeformInput& input) {
  const double finest = std::min({input.spacing_mm[0], input.spacing_mm[1], input.spacing_mm[2]});
  const int length[3] = {input.n.d, input.n.h, input.n.w};
  Factor factor;
  for (int a = 0; a < 3; ++a)
    factor.f[a] = std::clamp(int(std::lround(wanted * finest / input.spacing_mm[a])), 1, std::max(1, length[a] / 4));
  return factor;
}

Extent extent_of(Extent whole, const Factor& factor) {
  const auto ceil = [](int n, int f) { return (n + f - 1) / f; };
  return {ceil(whole.d, factor.f[0]), ceil(whole.h, factor.f[1]), ceil(whole.w, factor.f[2])};
}

TableMemory<std::uint8_t> pooled_validity(const Operations& operations, Queue& queue, const std::uint8_t* valid,
                                          Extent n, const Factor& factor) {
  const Extent m = extent_of(n, factor);
  std::vector<std::uint8_t> from(std::size_t(voxels(n))), to(std::size_t(voxels(m)));
  operations.download(queue, from.data(), valid, from.size());
  std::size_t i = 0;
  for (int z = 0; z < m.d; ++z)
    for (int y = 0; y < m.h; ++y)
      for (int x = 0; x < m.w; ++x) {
        const int k = std::min(z * factor.f[0] + factor.f[0] / 2, n.d - 1),
                  j = std::min(y * factor.f[1] + factor.f[1] / 2, n.h - 1);
        to[i++] = from[(std::size_t(k) * n.h + j) * n.w + std::min(x * factor.f[2] + factor.f[2] / 2, n.w - 1)];
      }
  return uploaded(operations, queue, to);
}

Level::Level(const Operations& operations, Queue& queue, const DeformInput& input, const DeformFacts& facts,
             const Factor& f, int dilation)
    : n(extent_of(input.n, f)), factor(f), channels(input.fixed_features ? input.channels : 16) {
  double spacing[3], finest = 1e300;
  for (int a = 0; a < 3; ++a) spacing[a] = input.spacing_mm[a] * f.f[a], finest = std::min(finest, spacing[a]);
  for (int a = 0; a < 3; ++a) relative[a] = float(finest / spacing[a]);
  const Pooled images[2] = {pooled(operations, queue, input.fixed, input.n, f),
                            pooled(operations, queue, input.moving, input.n, f)};
  const Half* given[2] = {input.fixed_features, input.moving_features};
  const std::uint8_t* valid[2] = {input.fixed_valid, input.moving_valid};
  TableMemory<std::uint8_t> small[2];
  const ImageFacts* own[2] = {&facts.fixed, &facts.moving};
  TableMemory<Half>* features[2] = {&fixed, &moving};
  for (int i = 0; i < 2; ++i) {
    *features[i] = TableMemory<Half>(operations, queue, std::size_t(voxels(n)) * channels);
    if (given[i])
      operations.pool_features(queue, given[i], channels, input.n, f.f, features[i]->data());
    else
      operations.mind_half(queue, images[i].data, n, kPatchRadius, dilation, features[i]->data());
    if (valid[i] && !whole(f))
      small[i] = pooled_validity(operations, queue, valid[i], input.n, f), valid[i] = small[i].data();
    operations.attach(queue, images[i].data, valid[i], n, own[i]->scale, own[i]->offset, channels, features[i]->data());
  }
  const float tissue[2] = {facts.fixed.tissue, facts.moving.tissue};
  presence = presence_of(operations, queue, images, valid, tissue, n);
  rows = TableMemory<std::int32_t>(operations, queue, 2 * std::size_t(n.d) * n.h);
  operations.active_rows(queue, images[0].data, facts.fixed.foreground.background, images[1].data,
                         facts.moving.foreground.background, n, kMargin, rows.data());
}

TableMemory<float> change_level(const Operations& operations, Queue& queue, const float* u, Extent n,
                                const Factor& from, Extent out, const Factor& to) {
  double map[12] = {};
  for (int a = 0; a < 3; ++a) {  // voxel i of a level stands for f i + (f - 1) / 2 of the whole grid
    map[4 * a + a] = double(to.f[a]) / from.f[a];
    map[4 * a + 3] = (0.5 * (to.f[a] - 1) - 0.5 * (from.f[a] - 1)) / from.f[a];
  }
  TableMemory<float> changed(operations, queue, 3 * std::size_t(voxels(out)));
  operations.resample_affine(queue, u, 3, n, map, out, Interpolation::linear, Border::extend, changed.data(), nullptr);
  for (int a = 0; a < 3; ++a) {
    float* component = changed.data() + a * voxels(out);
    operations.combine(queue, voxels(out), float(from.f[a]) / float(to.f[a]), component, 0, component, component);
  }
  return changed;
}

}  // namespace mmreg
