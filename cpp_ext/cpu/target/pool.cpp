// Averages over blocks; a block cut off by the border is averaged over what exists of it.
#include "cpu/target/half_rows.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct Block {  // voxels [begin, end) of one output index along one axis
  int begin, end;
};

MMREG_INLINE Block block(int i, int factor, int n) { return {i * factor, (i + 1) * factor < n ? (i + 1) * factor : n}; }

MMREG_INLINE Extent pooled(Extent n, const int f[3]) {
  return {(n.d + f[0] - 1) / f[0], (n.h + f[1] - 1) / f[1], (n.w + f[2] - 1) / f[2]};
}

// line[x] = sum over the rows of one block of rows.
void sum_rows(const float* image, Extent n, Block z, Block y, float* __restrict__ line) {
  for (int x = 0; x < n.w; ++x) line[x] = 0;
  for (int k = z.begin; k < z.end; ++k)
    for (int j = y.begin; j < y.end; ++j) {
      const float* row = image + (std::int64_t(k) * n.h + j) * n.w;
      for (int x = 0; x < n.w; ++x) line[x] += row[x];
    }
}

void sum_features(const Half* features, int channels, Extent n, Block z, Block y, Block x, float* line, float* sum) {
  for (int c = 0; c < channels; ++c) sum[c] = 0;
  for (int k = z.begin; k < z.end; ++k)
    for (int j = y.begin; j < y.end; ++j)
      for (int i = x.begin; i < x.end; ++i) {
        widen_row(features + ((std::int64_t(k) * n.h + j) * n.w + i) * channels, channels, line);
        for (int c = 0; c < channels; ++c) sum[c] += line[c];
      }
}

}  // namespace

void pool(Queue& queue, const float* image, int channels, Extent n, const int factor[3], float* out) {
  const Extent m = pooled(n, factor);
  const std::int64_t rows = std::int64_t(m.d) * m.h, tasks = rows * channels;
  Scratch<float> lines(queue, tasks * n.w);
  parallel(queue, tasks, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const Block z = block(int(r % rows / m.h), factor[0], n.d), y = block(int(r % m.h), factor[1], n.h);
      float* line = lines + r * n.w;
      sum_rows(image + r / rows * voxels(n), n, z, y, line);
      for (int i = 0; i < m.w; ++i) {
        const Block x = block(i, factor[2], n.w);
        float sum = 0;
        for (int j = x.begin; j < x.end; ++j) sum += line[j];
        out[r * m.w + i] = sum / float((z.end - z.begin) * (y.end - y.begin) * (x.end - x.begin));
      }
    }
  });
}

void pool_features(Queue& queue, const Half* features, int channels, Extent n, const int factor[3], Half* out) {
  const Extent m = pooled(n, factor);
  const std::int64_t rows = std::int64_t(m.d) * m.h;
  Scratch<float> scratch(queue, rows * 2 * channels);
  parallel(queue, rows, 4, [&](std::int64_t begin, std::int64_t end) {
    float *line = scratch + begin * 2 * channels, *sum = line + channels;
    for (std::int64_t r = begin; r < end; ++r)
      for (int i = 0; i < m.w; ++i) {
        const Block z = block(int(r / m.h), factor[0], n.d), y = block(int(r % m.h), factor[1], n.h),
                    x = block(i, factor[2], n.w);
        sum_features(features, channels, n, z, y, x, line, sum);
        const float scale = 1.0f / float((z.end - z.begin) * (y.end - y.begin) * (x.end - x.begin));
        for (int c = 0; c < channels; ++c) sum[c] *= scale;
        narrow_row(sum, channels, out + (r * m.w + i) * channels);
      }
  });
}

}  // namespace mmreg::MMREG_TARGET
