// Gradients of a linear warp with respect to the displacement and the image.
#include "core/corners.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

// Calls body(voxel, corners in the moving grid) for the voxels of rows [begin, end).
template <class Body>
void for_points(const float* u, Extent n, Extent m, Border border, std::int64_t begin, std::int64_t end,
                const Body& body) {
  const std::int64_t size = voxels(n);
  for (std::int64_t row = begin; row < end; ++row) {
    const float z = float(row / n.h), y = float(row % n.h);
    for (std::int64_t i = row * n.w; i < (row + 1) * n.w; ++i) {
      const float x = float(i - row * n.w);
      body(i, corners(z + u[i], y + u[size + i], x + u[2 * size + i], m, border));
    }
  }
}

}  // namespace

void warp_grad_displacement(Queue& queue, Image moving, Displacement u, Border border, const float* upstream,
                            float* gradient) {
  const Extent m = moving.n;
  const std::int64_t size = voxels(u.n), volume = voxels(m);
  parallel(queue, std::int64_t(u.n.d) * u.n.h, 32, [=](std::int64_t begin, std::int64_t end) {
    for_points(u.data, u.n, m, border, begin, end, [=](std::int64_t i, const Corners& c) {
      float along[3] = {};
      for_corners(c, m, [&](std::int64_t at, float, const float (&slope)[3]) {
        float value = 0;
        for (int k = 0; k < moving.channels; ++k) value += upstream[k * size + i] * moving.data[k * volume + at];
        for (int a = 0; a < 3; ++a) along[a] += weighed(slope[a], value);
      });
      for (int a = 0; a < 3; ++a) gradient[a * size + i] = along[a];
    });
  });
}

// One thread per channel: the order of additions of two threads to one voxel would vary.
void warp_grad_image(Queue& queue, const float* upstream, Displacement u, Border border, ImageView<float> gradient) {
  const Extent n = u.n, m = gradient.n;
  const std::int64_t size = voxels(n), volume = voxels(m);
  parallel(queue, gradient.channels, 1, [=](std::int64_t channel, std::int64_t) {
    float* const to = gradient.data + channel * volume;
    const float* const from = upstream + channel * size;
    for (std::int64_t i = 0; i < volume; ++i) to[i] = 0;
    for_points(u.data, n, m, border, 0, std::int64_t(n.d) * n.h, [=](std::int64_t i, const Corners& c) {
      for_corners(c, m, [=](std::int64_t at, float weight, const float (&)[3]) { to[at] += weighed(weight, from[i]); });
    });
  });
}

}  // namespace mmreg::MMREG_TARGET
