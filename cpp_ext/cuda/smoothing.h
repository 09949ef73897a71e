// Separable filters of whole images, also in place.
#pragma once
#include "cuda/separable.h"

namespace mmreg::MMREG_TARGET {

inline void copy(Queue& queue, const float* from, std::int64_t count, float* to) {
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) { to[i] = from[i]; });
}

inline void filter_along(Queue& queue, int axis, const float* in, int channels, Extent n, const Taps& taps,
                         float* out) {
  const Weights w = weights_of(taps);
  if (axis == 0) filter_along_z(queue, in, channels, n, w, out);
  if (axis == 1) filter_along_y(queue, in, channels * n.d, n, w, out);
  if (axis == 2) filter_along_x(queue, in, std::int64_t(channels) * n.d * n.h, n.w, w, out);
}

// No pass can be in place: two of them go by way of `first`, three by way of `first` and of `out`, or `second` if `out`
// is still to be read.
inline void smooth_some(Queue& queue, const float* image, int channels, Extent n, const Taps taps[3], float* out) {
  const std::int64_t size = channels * voxels(n);
  int left = 0;
  for (int a = 0; a < 3; ++a) left += taps[a].radius > 0;
  const bool in_place = image == out;
  if (!left && !in_place) copy(queue, image, size, out);
  const Scratch<float> first(queue, left > 1 || in_place ? size : 0), second(queue, left > 2 && in_place ? size : 0);
  if (left == 1 && in_place) copy(queue, image, size, first.data()), image = first.data();
  float* const ways[3] = {in_place ? second.data() : out, first.data(), out};
  for (int a = 0; a < 3; ++a) {
    if (!taps[a].radius) continue;
    float* const to = ways[3 - left--];
    filter_along(queue, a, image, channels, n, taps[a], to);
    image = to;
  }
}

constexpr std::int64_t cached_voxels = 1 << 22;  // what lies between two passes should stay in the second-level cache

inline void smooth(Queue& queue, const float* image, int channels, Extent n, const Taps taps[3], float* out) {
  const std::int64_t size = voxels(n), fitting = size > 0 ? cached_voxels / size : channels;
  const int most = fitting < 1 ? 1 : fitting < channels ? int(fitting) : channels;
  for (int c = 0; c < channels; c += most)
    smooth_some(queue, image + c * size, channels - c < most ? channels - c : most, n, taps, out + c * size);
}

}  // namespace mmreg::MMREG_TARGET
