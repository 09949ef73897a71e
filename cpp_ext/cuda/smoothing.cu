// Separable filters: one pass for each axis that has a radius.
#include "cuda/launch.h"
#include "cuda/queue.h"
#include "cuda/separable.h"
#include "cuda/smoothing.h"

namespace mmreg::MMREG_TARGET {
namespace {

void filter_along_z(Queue& queue, const float* in, int channels, Extent n, const Weights& w, float* out) {
  const int groups = groups_of(n.d);
  for_voxels(queue, {channels * groups, n.h, n.w}, [=] MMREG_DEVICE(const Voxel& v) {
    const int channel = v.z / groups;
    const std::int64_t plane = std::int64_t(n.h) * n.w, start = channel * voxels(n) + std::int64_t(v.y) * n.w + v.x;
    filter_line(in + start, n.d, plane, (v.z - channel * groups) * kOutputs, w, out + start);
  });
}

void filter_along_y(Queue& queue, const float* in, int planes, Extent n, const Weights& w, float* out) {
  for_voxels(queue, {planes, groups_of(n.h), n.w}, [=] MMREG_DEVICE(const Voxel& v) {
    const std::int64_t start = std::int64_t(v.z) * n.h * n.w + v.x;
    filter_line(in + start, n.h, n.w, v.y * kOutputs, w, out + start);
  });
}

constexpr int kStagedColumns = 64, kStagedRows = kBlockThreads * kOutputs / kStagedColumns;

// Pieces of rows are staged in shared memory, for reads of whole fours and writes of whole lines of memory.
void filter_along_x(Queue& queue, const float* in, std::int64_t rows, int w, const Weights& weights, float* out) {
  const int across = (w + kStagedColumns - 1) / kStagedColumns, pitch = kStagedColumns - kOutputs + weights.steps;
  const int bytes = kStagedRows * (pitch + kStagedColumns) * int(sizeof(float));
  const std::int64_t blocks = (rows + kStagedRows - 1) / kStagedRows * across;
  for_blocks(queue, blocks, bytes, [=] MMREG_DEVICE(const Block& block) {
    constexpr int row_threads = kStagedColumns / kOutputs;
    float* const staged = reinterpret_cast<float*>(block.memory);
    float* const filtered = staged + kStagedRows * pitch;
    const std::int64_t first_row = std::int64_t(block.index / across) * kStagedRows;
    const int x0 = block.index % across * kStagedColumns, here = w - x0 < kStagedColumns ? w - x0 : kStagedColumns;
    block.threads([&](int t) {
      const int line = t / row_threads;
      if (first_row + line >= rows) return;
      const float* const row = in + (first_row + line) * w;
      for (int i = t % row_threads; i < pitch; i += row_threads)
        staged[line * pitch + i] = row[inside(x0 - weights.radius + i, w)];
    });
    block.threads([&](int t) {
      const int line = t / row_threads, x = t % row_threads * kOutputs;
      if (first_row + line >= rows || x >= here) return;
      const float* const from = staged + line * pitch + x;
      Four sum{};
      weigh(weights, [&](int k) { return *reinterpret_cast<const Four*>(from + k); }, sum.v);
      *reinterpret_cast<Four*>(filtered + line * kStagedColumns + x) = sum;
    });
    block.threads([&](int t) {
      const int line = t / row_threads;
      if (first_row + line >= rows) return;
      float* const row = out + (first_row + line) * w + x0;
      for (int x = t % row_threads; x < here; x += row_threads) row[x] = filtered[line * kStagedColumns + x];
    });
  });
}

void copy(Queue& queue, const float* from, std::int64_t count, float* to) {
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) { to[i] = from[i]; });
}

}  // namespace

void filter_along(Queue& queue, int axis, Image in, const Taps& taps, float* out) {
  const Weights w = weights_of(taps);
  const int planes = in.channels * in.n.d;
  if (axis == 0) filter_along_z(queue, in.data, in.channels, in.n, w, out);
  if (axis == 1) filter_along_y(queue, in.data, planes, in.n, w, out);
  if (axis == 2) filter_along_x(queue, in.data, std::int64_t(planes) * in.n.h, in.n.w, w, out);
}

namespace {

// No pass can be in place: two passes use `first` as intermediate memory; three use `first` and `out`, or `second` if
// `out` is still to be read.
void smooth_some(Queue& queue, Image image, const Taps taps[3], float* out) {
  const std::int64_t size = image.channels * voxels(image.n);
  int left = 0;
  for (int a = 0; a < 3; ++a) left += taps[a].radius > 0;
  const bool in_place = image.data == out;
  if (!left && !in_place) copy(queue, image.data, size, out);
  const Scratch<float> first(queue, left > 1 || in_place ? size : 0), second(queue, left > 2 && in_place ? size : 0);
  if (left == 1 && in_place) {
    copy(queue, image.data, size, first.data());
    image.data = first.data();
  }
  float* const ways[3] = {in_place ? second.data() : out, first.data(), out};
  for (int a = 0; a < 3; ++a) {
    if (!taps[a].radius) continue;
    float* const to = ways[3 - left--];
    filter_along(queue, a, image, taps[a], to);
    image.data = to;
  }
}

constexpr std::int64_t kCachedVoxels = 1 << 22;  // the data between two passes should fit into the second-level cache

}  // namespace

void smooth(Queue& queue, Image image, const Taps taps[3], float* out) {
  const int channels = image.channels;
  const std::int64_t size = voxels(image.n), fitting = size > 0 ? kCachedVoxels / size : channels;
  const int most = fitting < 1 ? 1 : fitting < channels ? int(fitting) : channels;
  for (int c = 0; c < channels; c += most)
    smooth_some(queue, {image.data + c * size, image.n, channels - c < most ? channels - c : most}, taps,
                out + c * size);
}

}  // namespace mmreg::MMREG_TARGET
