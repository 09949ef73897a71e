// Trilinear value of an image at a point, with its gradient and the cover of the point by the image. The image covers
// its voxels entirely, up to half a voxel beyond the outermost centres; the cover falls to 0 over the last half voxel,
// which keeps sums over an overlap continuous. A point has cover 0 if a voxel that is NaN or infinite has a weight in
// its value. Where such a voxel has weight 0 the value is valid, with slope 0 along the axes towards that voxel.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

struct CoveredAxis {  // two neighbours along one axis
  int at, ahead;      // index of the first, offset of the second
  float t, cover;     // position between them, cover along this axis
  float moves, fade;  // derivatives: of the clamped coordinate (1 or 0), and of the cover
};

MMREG_INLINE CoveredAxis covered_axis(float x, int n) {
  const float last = float(n - 1), edge = 2 * (x + 0.5f), far = 2 * (last + 0.5f - x);
  float cover = edge < far ? edge : far;
  const bool ramp = cover > 0 && cover < 1;
  const float fade = ramp ? (edge < far ? 2.0f : -2.0f) : 0.0f;
  cover = cover > 0 ? (cover < 1 ? cover : 1.0f) : 0.0f;  // NaN becomes 0
  const float inside = x > 0 ? (x < last ? x : last) : 0.0f;
  const int before = n > 1 ? n - 2 : 0, floor = int(inside), at = floor < before ? floor : before;
  return {at, n > 1 ? 1 : 0, inside - float(at), cover, x > 0 && x < last ? 1.0f : 0.0f, fade};
}

// Linear interpolation in which a value of weight 0 does not count, even if it is NaN or infinite.
MMREG_INLINE float interpolated(float a, float b, float t) {
  const float value = a + t * (b - a);
  return t > 0 ? (t < 1 ? value : b) : a;
}

struct CoveredSample {
  float value, cover;
  float slope[3], fade[3];  // derivatives of the value and of the cover along axes 0, 1, 2, per voxel
};

// Has no branches that depend on data, so that a loop over points vectorises.
MMREG_INLINE CoveredSample covered_sample(const float* image, Extent n, float z, float y, float x) {
  const CoveredAxis a = covered_axis(z, n.d), b = covered_axis(y, n.h), c = covered_axis(x, n.w);
  const int row = n.w * b.ahead, plane = n.h * n.w * a.ahead, first = (a.at * n.h + b.at) * n.w + c.at,
            next = first + c.ahead;
  const float v000 = image[first], v001 = image[next], v010 = image[first + row], v011 = image[next + row];
  const float v100 = image[first + plane], v101 = image[next + plane];
  const float v110 = image[first + row + plane], v111 = image[next + row + plane];
  const float x00 = interpolated(v000, v001, c.t), x01 = interpolated(v010, v011, c.t);
  const float x10 = interpolated(v100, v101, c.t), x11 = interpolated(v110, v111, c.t);
  const float y0 = interpolated(x00, x01, b.t), y1 = interpolated(x10, x11, b.t);
  const float value = interpolated(y0, y1, a.t);
  const bool known = value - value == 0;
  const float dz = y1 - y0, dy = interpolated(x01 - x00, x11 - x10, a.t);
  const float dx =
      interpolated(interpolated(v001 - v000, v011 - v010, b.t), interpolated(v101 - v100, v111 - v110, b.t), a.t);
  return {known ? value : 0.0f,
          known ? a.cover * b.cover * c.cover : 0.0f,
          {known && dz - dz == 0 ? a.moves * dz : 0.0f, known && dy - dy == 0 ? b.moves * dy : 0.0f,
           known && dx - dx == 0 ? c.moves * dx : 0.0f},
          {known ? a.fade * b.cover * c.cover : 0.0f, known ? a.cover * b.fade * c.cover : 0.0f,
           known ? a.cover * b.cover * c.fade : 0.0f}};
}

// Samples at the image of (z, y, x) under an affine index map, 3 x 4 row-major.
MMREG_INLINE CoveredSample covered_sample(const float* image, Extent n, const float* a, float z, float y, float x) {
  return covered_sample(image, n, a[0] * z + a[1] * y + a[2] * x + a[3], a[4] * z + a[5] * y + a[6] * x + a[7],
                        a[8] * z + a[9] * y + a[10] * x + a[11]);
}

MMREG_INLINE float covered_value(const CoveredSample& s) { return s.cover > 0 ? s.value : __builtin_nanf(""); }

MMREG_INLINE int nearest_voxel(float x, int n) {
  const float last = float(n - 1), inside = x > 0 ? (x < last ? x : last) : 0.0f;
  return int(inside + 0.5f);
}

MMREG_INLINE std::int64_t nearest_voxel(Extent n, float z, float y, float x) {
  return (std::int64_t(nearest_voxel(z, n.d)) * n.h + nearest_voxel(y, n.h)) * n.w + nearest_voxel(x, n.w);
}

}  // namespace mmreg::MMREG_TARGET
