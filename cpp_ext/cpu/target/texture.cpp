// Noise and contrast of the neighbourhood of each voxel. The second difference along every axis at once answers to
// white noise and hardly to anatomy (Immerkaer, Computer Vision and Image Understanding 64(2), 1996, in 3-D).
#include "core/texture.h"

#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct Row {  // the nine rows around a row, and what each counts for
  const float* in[9];
  float difference[9], mean[9];
};

Row row_of(const float* image, Extent n, int z, int y) {
  const Stencil along_z = stencil(n.d), along_y = stencil(n.h);
  Row row{};
  for (int j = 0; j < 3; ++j)
    for (int i = 0; i < 3; ++i) {
      const int k = 3 * j + i;
      row.in[k] = image + (std::int64_t(within(z + j - 1, n.d)) * n.h + within(y + i - 1, n.h)) * n.w;
      row.difference[k] = along_z.difference[j] * along_y.difference[i];
      row.mean[k] = along_z.mean[j] * along_y.mean[i];
    }
  return row;
}

struct Sums {
  float difference, mean, square;
};

// Sums over the nine rows at column x, relative to `center`: the square of a large offset would swallow the contrast.
MMREG_INLINE Sums column(const Row& row, int x, float center) {
  Sums s{};
  for (int k = 0; k < 9; ++k) {
    const float v = row.in[k][x] - center;
    s.difference += row.difference[k] * v, s.mean += row.mean[k] * v, s.square += row.mean[k] * v * v;
  }
  return s;
}

MMREG_INLINE void visit(const Row& row, const Stencil& along_x, const int x[3], float* noise, float* contrast) {
  const float center = row.in[4][x[1]];
  float difference = 0, mean = 0, square = 0;
  for (int i = 0; i < 3; ++i) {
    const Sums s = column(row, x[i], center);
    difference += along_x.difference[i] * s.difference;
    mean += along_x.mean[i] * s.mean, square += along_x.mean[i] * s.square;
  }
  const float variance = square - mean * mean;
  *noise = __builtin_fabsf(difference), *contrast = __builtin_sqrtf(variance > 0 ? variance : 0);
}

}  // namespace

void texture(Queue& queue, const float* image, Extent n, float* noise, float* contrast) {
  const Stencil along_x = stencil(n.w);
  parallel(queue, std::int64_t(n.d) * n.h, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const Row row = row_of(image, n, int(r / n.h), int(r % n.h));
      float *const to = noise + r * n.w, *const and_to = contrast + r * n.w;
      const auto at = [&](int x) {
        const int columns[3] = {within(x - 1, n.w), x, within(x + 1, n.w)};
        visit(row, along_x, columns, to + x, and_to + x);
      };
      at(0);
#pragma GCC ivdep
      for (int x = 1; x < n.w - 1; ++x) {
        const int columns[3] = {x - 1, x, x + 1};
        visit(row, along_x, columns, to + x, and_to + x);
      }
      if (n.w > 1) at(n.w - 1);
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
