// Finds the voxels of each row to compare: the foreground of either image and a margin around it.
#include "core/span.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

MMREG_INLINE Span foreground(const float* row, int w, float background) {
  Span s{0, w};
  while (s.begin < w && !(row[s.begin] > background)) ++s.begin;
  while (s.end > s.begin && !(row[s.end - 1] > background)) --s.end;
  return s;
}

}  // namespace

void active_rows(Queue& queue, const float* fixed, float fixed_background, const float* moving, float moving_background,
                 Extent n, int margin, std::int32_t* rows) {
  const std::int64_t count = std::int64_t(n.d) * n.h;
  Scratch<Span> memory(queue, count);
  Span* const own = memory;
  Span* const out = reinterpret_cast<Span*>(rows);
  parallel(queue, count, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      own[r] = both(foreground(fixed + r * n.w, n.w, fixed_background),
                    foreground(moving + r * n.w, n.w, moving_background));
  });
  parallel(queue, count, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const int z = int(r / n.h), y = int(r % n.h);
      Span s{0, 0};
      for (int k = z > margin ? z - margin : 0; k <= z + margin && k < n.d; ++k)
        for (int j = y > margin ? y - margin : 0; j <= y + margin && j < n.h; ++j)
          s = both(s, own[std::int64_t(k) * n.h + j]);
      out[r] = widened(s, margin, n.w);
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
