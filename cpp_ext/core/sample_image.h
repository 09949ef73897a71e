// Samples an image at points(voxel) of an output grid, for all channels, interpolations and storage types. Include
// sampling.h of cpu/target/ or cuda/ first, which defines
//   sample_grid<kind, C>(queue, volume, m, outside, n, points, out): samples C channels of grid m onto grid n;
//   mark_inside(queue, m, n, points, valid): flags the points in the footprint of grid m.
#pragma once
#include "core/options.h"
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

// Channels in groups of three, as in displacements, then one by one: a group shares the computation of its weights.
template <Interpolation kind, class Queue, class T, class PointsOf>
void sample_channels(Queue& queue, ImageView<const T> image, const Outside& outside, Extent n, const PointsOf& points,
                     T* out) {
  const Extent m = image.n;
  int k = 0;
  for (; k + 3 <= image.channels; k += 3)
    sample_grid<kind, 3>(queue, image.data + k * voxels(m), m, outside, n, points, out + k * voxels(n));
  for (; k < image.channels; ++k)
    sample_grid<kind, 1>(queue, image.data + k * voxels(m), m, outside, n, points, out + k * voxels(n));
}

// `valid` may be nullptr.
template <class Queue, class T, class PointsOf>
void sample_image(Queue& queue, ImageView<const T> image, Interpolation kind, const Outside& outside, Extent n,
                  const PointsOf& points, T* out, std::uint8_t* valid) {
  if (kind == Interpolation::nearest)
    sample_channels<Interpolation::nearest>(queue, image, outside, n, points, out);
  else if (kind == Interpolation::linear)
    sample_channels<Interpolation::linear>(queue, image, outside, n, points, out);
  else
    sample_channels<Interpolation::cubic>(queue, image, outside, n, points, out);
  if (valid) mark_inside(queue, image.n, n, points, valid);
}

}  // namespace mmreg::MMREG_TARGET
