// Means of blocks; a block at the border may be smaller.
#include "core/pooling.h"
#include "cpu/target/half_rows.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

// line[x] = sum of column x over the rows of a block.
void sum_rows(const float* image, Extent n, BlockSpan z, BlockSpan y, float* __restrict__ line) {
  for (int x = 0; x < n.w; ++x) line[x] = 0;
  for (int k = z.begin; k < z.end; ++k)
    for (int j = y.begin; j < y.end; ++j) {
      const float* row = image + (std::int64_t(k) * n.h + j) * n.w;
      for (int x = 0; x < n.w; ++x) line[x] += row[x];
    }
}

void sum_features(FeatureImage features, BlockSpan z, BlockSpan y, BlockSpan x, float* line, float* sum) {
  const Extent n = features.n;
  const int channels = features.channels;
  for (int c = 0; c < channels; ++c) sum[c] = 0;
  for (int k = z.begin; k < z.end; ++k)
    for (int j = y.begin; j < y.end; ++j)
      for (int i = x.begin; i < x.end; ++i) {
        widen_row(features.data + ((std::int64_t(k) * n.h + j) * n.w + i) * channels, channels, line);
        for (int c = 0; c < channels; ++c) sum[c] += line[c];
      }
}

}  // namespace

void pool(Queue& queue, Image image, const int factor[3], float* out) {
  const Extent n = image.n, m = pooled(n, factor);
  const std::int64_t rows = std::int64_t(m.d) * m.h, tasks = rows * image.channels;
  Scratch<float> lines(queue, tasks * n.w);
  parallel(queue, tasks, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const BlockSpan z = block_span(int(r % rows / m.h), factor[0], n.d), y = block_span(int(r % m.h), factor[1], n.h);
      float* line = lines + r * n.w;
      sum_rows(image.data + r / rows * voxels(n), n, z, y, line);
      for (int i = 0; i < m.w; ++i) {
        const BlockSpan x = block_span(i, factor[2], n.w);
        float sum = 0;
        for (int j = x.begin; j < x.end; ++j) sum += line[j];
        out[r * m.w + i] = sum / float(z.length() * y.length() * x.length());
      }
    }
  });
}

void pool_features(Queue& queue, FeatureImage features, const int factor[3], Half* out) {
  const Extent n = features.n, m = pooled(n, factor);
  const int channels = features.channels;
  const std::int64_t rows = std::int64_t(m.d) * m.h;
  Scratch<float> scratch(queue, rows * 2 * channels);
  parallel(queue, rows, 4, [&](std::int64_t begin, std::int64_t end) {
    float *line = scratch + begin * 2 * channels, *sum = line + channels;
    for (std::int64_t r = begin; r < end; ++r)
      for (int i = 0; i < m.w; ++i) {
        const BlockSpan z = block_span(int(r / m.h), factor[0], n.d), y = block_span(int(r % m.h), factor[1], n.h),
                        x = block_span(i, factor[2], n.w);
        sum_features(features, z, y, x, line, sum);
        const float scale = 1.0f / float(z.length() * y.length() * x.length());
        for (int c = 0; c < channels; ++c) sum[c] *= scale;
        narrow_row(sum, channels, out + (r * m.w + i) * channels);
      }
  });
}

}  // namespace mmreg::MMREG_TARGET
