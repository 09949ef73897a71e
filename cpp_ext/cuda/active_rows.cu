// Finds the voxels of each row to compare: the foreground of either image and a margin around it. A warp finds the
// foreground of a row; the margin is then added axis by axis.
#include "core/span.h"
#include "cuda/launch.h"
#include "cuda/queue.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct ThresholdedImage {  // voxels above `background` are foreground
  const float* image;
  float background;
};

MMREG_DEVICE inline void include(Span& s, const ThresholdedImage& t, std::int64_t row, int x) {
  if (t.image[row + x] > t.background) s = both(s, {x, x + 1});
}

// own[row] = the foreground of the row in either image.
void find_foreground(Queue& queue, const ThresholdedImage& fixed, const ThresholdedImage& moving, std::int64_t rows,
                     int w, Span* own) {
  for_blocks(queue, (rows + kTileRows - 1) / kTileRows, int(sizeof(Span)) * kBlockThreads,
             [=] MMREG_DEVICE(const Block& block) {
               Span* const part = reinterpret_cast<Span*>(block.memory);
               const std::int64_t first = std::int64_t(block.index) * kTileRows;
               block.threads([=] MMREG_DEVICE(int t) {
                 const std::int64_t row = first + t / kTileColumns;
                 Span s{0, 0};
                 for (int x = t % kTileColumns; x < w && row < rows; x += kTileColumns) {
                   include(s, fixed, row * w, x);
                   include(s, moving, row * w, x);
                 }
                 part[t] = s;
               });
               block.threads([=] MMREG_DEVICE(int t) {
                 if (t >= kTileRows || first + t >= rows) return;
                 Span s{0, 0};
                 for (int i = 0; i < kTileColumns; ++i) s = both(s, part[t * kTileColumns + i]);
                 own[first + t] = s;
               });
             });
}

// Returns the union of the spans within `margin` of row i, the at-th of n rows that are `stride` apart.
MMREG_DEVICE inline Span near(const Span* rows, std::int64_t i, int at, int n, std::int64_t stride, int margin) {
  Span s{0, 0};
  for (int k = at > margin ? at - margin : 0; k < n && k - at <= margin; ++k) s = both(s, rows[i + (k - at) * stride]);
  return s;
}

}  // namespace

void active_rows(Queue& queue, const float* fixed, float fixed_background, const float* moving, float moving_background,
                 Extent n, int margin, std::int32_t* rows) {
  const std::int64_t count = std::int64_t(n.d) * n.h;
  const Scratch<Span> own_memory(queue, count), wide_memory(queue, count);
  Span* const own = own_memory.data();
  Span* const wide = wide_memory.data();
  Span* const out = reinterpret_cast<Span*>(rows);
  find_foreground(queue, {fixed, fixed_background}, {moving, moving_background}, count, n.w, own);
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) { wide[i] = near(own, i, int(i % n.h), n.h, 1, margin); });
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) {
    out[i] = widened(near(wide, i, int(i / n.h), n.d, n.h, margin), margin, n.w);
  });
}

}  // namespace mmreg::MMREG_TARGET
