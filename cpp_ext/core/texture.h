// Noise and contrast of the 3 x 3 x 3 neighbourhood of a voxel; axes of one or two voxels are ignored. The second
// difference along all axes at once responds to white noise and hardly to anatomy (Immerkaer, Computer Vision and Image
// Understanding 64(2), 1996, in 3-D).
#pragma once
#include <cmath>

#include "core/border.h"

namespace mmreg::MMREG_TARGET {

struct Stencil {
  float difference[3];  // second difference, scaled to preserve the standard deviation of white noise
  float mean[3];
};

MMREG_INLINE Stencil stencil(int length) {
  constexpr float unit = 0.40824829f, third = 1.0f / 3;  // 1 / sqrt(1 + 4 + 1)
  if (length < 3) return {{0, 1, 0}, {0, 1, 0}};
  return {{unit, -2 * unit, unit}, {third, third, third}};
}

struct NineRows {  // the rows around a row and their weights
  const float* in[9];
  float difference[9], mean[9];
};

MMREG_INLINE NineRows rows_around(const float* image, Extent n, int z, int y) {
  const Stencil along_z = stencil(n.d), along_y = stencil(n.h);
  NineRows rows{};
  for (int j = 0; j < 3; ++j)
    for (int i = 0; i < 3; ++i) {
      const int k = 3 * j + i;
      rows.in[k] = image + (std::int64_t(inside(z + j - 1, n.d)) * n.h + inside(y + i - 1, n.h)) * n.w;
      rows.difference[k] = along_z.difference[j] * along_y.difference[i];
      rows.mean[k] = along_z.mean[j] * along_y.mean[i];
    }
  return rows;
}

struct ColumnSums {
  float difference, mean, square;
};

// Returns sums over the nine rows at column x, relative to `center`, since squares of a large offset lose precision.
MMREG_INLINE ColumnSums column_sums(const NineRows& rows, int x, float center) {
  ColumnSums s{};
  for (int k = 0; k < 9; ++k) {
    const float v = rows.in[k][x] - center;
    s.difference += rows.difference[k] * v;
    s.mean += rows.mean[k] * v;
    s.square += rows.mean[k] * v * v;
  }
  return s;
}

struct Texture {
  float noise, contrast;
};

// Returns the texture at column x[1] from the columns x[0], x[1], x[2].
MMREG_INLINE Texture texture_at(const NineRows& rows, const Stencil& along_x, const int x[3]) {
  const float center = rows.in[4][x[1]];
  float difference = 0, mean = 0, square = 0;
  for (int i = 0; i < 3; ++i) {
    const ColumnSums s = column_sums(rows, x[i], center);
    difference += along_x.difference[i] * s.difference;
    mean += along_x.mean[i] * s.mean;
    square += along_x.mean[i] * s.square;
  }
  const float variance = square - mean * mean;
  return {fabsf(difference), sqrtf(variance < 0 ? 0 : variance)};
}

}  // namespace mmreg::MMREG_TARGET
