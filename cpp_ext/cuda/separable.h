// Separable filters: one pass for each axis that has a radius. A thread makes four neighbouring outputs along the axis,
// so that what it reads serves four weighted sums.
#pragma once
#include "core/border.h"
#include "core/taps.h"
#include "cuda/launch.h"
#include "cuda/queue.h"

namespace mmreg::MMREG_TARGET {

constexpr int outputs = 4;  // of a thread

struct alignas(16) Four {
  float v[4];
};

struct Weights {      // of the first output's window, with zeros on both sides for the windows of the others
  int radius, steps;  // steps: values that all four windows span, in whole fours
  alignas(16) float padded[2 * max_radius + 3 * outputs];
};

inline Weights weights_of(const Taps& taps) {
  Weights w{};
  w.radius = taps.radius;
  w.steps = (2 * taps.radius + outputs + 3) / 4 * 4;
  for (int k = -taps.radius; k <= taps.radius; ++k)
    w.padded[outputs - 1 + taps.radius + k] = taps.weight[k < 0 ? -k : k];
  return w;
}

// sum[s] += the weighted window of output s; four(k) are values k .. k + 3 of the line, from the first window's start.
template <class FourAt>
MMREG_INLINE void weigh(const Weights& w, const FourAt& four, float (&sum)[outputs]) {
  for (int k = 0; k < w.steps; k += 4) {
    const Four value = four(k);
    for (int i = 0; i < 4; ++i)
      for (int s = 0; s < outputs; ++s) sum[s] += w.padded[outputs - 1 + k + i - s] * value.v[i];
  }
}

// Line of n values, `stride` apart: four of them from `first` on, which may lie outside.
MMREG_INLINE Four four_of_line(const float* line, int n, std::int64_t stride, int first) {
  return {line[inside(first, n) * stride], line[inside(first + 1, n) * stride], line[inside(first + 2, n) * stride],
          line[inside(first + 3, n) * stride]};
}

MMREG_INLINE void filter_line(const float* in, int n, std::int64_t stride, int first, const Weights& w, float* out) {
  float sum[outputs] = {};
  weigh(w, [&](int k) { return four_of_line(in, n, stride, first - w.radius + k); }, sum);
  for (int s = 0; s < outputs && first + s < n; ++s) out[(first + s) * stride] = sum[s];
}

inline int groups_of(int n) { return (n + outputs - 1) / outputs; }

inline void filter_along_z(Queue& queue, const float* in, int channels, Extent n, const Weights& w, float* out) {
  const int groups = groups_of(n.d);
  for_voxels(queue, {channels * groups, n.h, n.w}, [=] MMREG_DEVICE(const Voxel& v) {
    const int channel = v.z / groups;
    const std::int64_t plane = std::int64_t(n.h) * n.w, start = channel * voxels(n) + std::int64_t(v.y) * n.w + v.x;
    filter_line(in + start, n.d, plane, (v.z - channel * groups) * outputs, w, out + start);
  });
}

inline void filter_along_y(Queue& queue, const float* in, int planes, Extent n, const Weights& w, float* out) {
  for_voxels(queue, {planes, groups_of(n.h), n.w}, [=] MMREG_DEVICE(const Voxel& v) {
    const std::int64_t start = std::int64_t(v.z) * n.h * n.w + v.x;
    filter_line(in + start, n.h, n.w, v.y * outputs, w, out + start);
  });
}

constexpr int staged_columns = 64, staged_rows = block_threads * outputs / staged_columns;

// Pieces of rows go through shared memory, on the way in for whole fours, on the way out for whole lines of memory.
inline void filter_along_x(Queue& queue, const float* in, std::int64_t rows, int w, const Weights& weights,
                           float* out) {
  const int across = (w + staged_columns - 1) / staged_columns, pitch = staged_columns - outputs + weights.steps;
  const int bytes = staged_rows * (pitch + staged_columns) * int(sizeof(float));
  const std::int64_t blocks = (rows + staged_rows - 1) / staged_rows * across;
  for_blocks(queue, blocks, bytes, [=] MMREG_DEVICE(const Block& block) {
    constexpr int row_threads = staged_columns / outputs;
    float* const staged = reinterpret_cast<float*>(block.memory);
    float* const made = staged + staged_rows * pitch;
    const std::int64_t first_row = std::int64_t(block.index / across) * staged_rows;
    const int x0 = block.index % across * staged_columns, here = w - x0 < staged_columns ? w - x0 : staged_columns;
    block.threads([&](int t) {
      const int line = t / row_threads;
      if (first_row + line >= rows) return;
      const float* const row = in + (first_row + line) * w;
      for (int i = t % row_threads; i < pitch; i += row_threads)
        staged[line * pitch + i] = row[inside(x0 - weights.radius + i, w)];
    });
    block.threads([&](int t) {
      const int line = t / row_threads, x = t % row_threads * outputs;
      if (first_row + line >= rows || x >= here) return;
      const float* const from = staged + line * pitch + x;
      Four sum{};
      weigh(weights, [&](int k) { return *reinterpret_cast<const Four*>(from + k); }, sum.v);
      *reinterpret_cast<Four*>(made + line * staged_columns + x) = sum;
    });
    block.threads([&](int t) {
      const int line = t / row_threads;
      if (first_row + line >= rows) return;
      float* const row = out + (first_row + line) * w + x0;
      for (int x = t % row_threads; x < here; x += row_threads) row[x] = made[line * staged_columns + x];
    });
  });
}

}  // namespace mmreg::MMREG_TARGET
