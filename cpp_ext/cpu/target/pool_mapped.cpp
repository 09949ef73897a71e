// Block means of an image over the finite voxels inside a mask, then an intensity map.
#include "core/intensity_map.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

enum { chunk = 256 };  // columns summed at once, with the sums on the stack

struct Sums {
  float value[chunk], known[chunk];
};

// Adds `count` voxels of one row, each clamped to the range of the map; NaN and masked voxels add nothing.
void add_row(const float* image, const std::uint8_t* mask, int count, float low, float high, Sums& sums) {
  for (int i = 0; i < count; ++i) {
    const float v = image[i], clamped = clipped(v, low, high);
    const bool known = is_known(v);
    sums.value[i] += known ? clamped : 0.0f;
    sums.known[i] += known ? 1.0f : 0.0f;
  }
  if (!mask) return;
  for (int i = 0; i < count; ++i) {
    const float v = image[i], clamped = clipped(v, low, high);
    const bool remove = mask[i] == 0 && is_known(v);
    sums.value[i] -= remove ? clamped : 0.0f;
    sums.known[i] -= remove ? 1.0f : 0.0f;
  }
}

}  // namespace

void pool_mapped(Queue& queue, Image image, const std::uint8_t* mask, Extent factor, const IntensityMap& map,
                 float* out) {
  const Blocks blocks = blocks_of(image.n, factor);
  const Extent n = image.n, m = blocks.n;
  const int columns = chunk / factor.w;  // outputs per chunk
  parallel(queue, std::int64_t(m.d) * m.h, 16, [&](std::int64_t begin, std::int64_t end) {
    Sums sums;
    const IntensityMap own = map;  // a local copy, which the compiler knows is not modified
    for (std::int64_t row = begin; row < end; ++row) {
      const int z = blocks.z + int(row / m.h) * factor.d, y = blocks.y + int(row % m.h) * factor.h;
      for (int x = 0; x < m.w; x += columns) {
        const int outputs = x + columns < m.w ? columns : m.w - x, inputs = outputs * factor.w;
        for (int i = 0; i < inputs; ++i) sums.value[i] = sums.known[i] = 0;
        for (int k = 0; k < factor.d; ++k)
          for (int j = 0; j < factor.h; ++j) {
            const std::int64_t at = (std::int64_t(z + k) * n.h + y + j) * n.w + blocks.x + std::int64_t(x) * factor.w;
            add_row(image.data + at, mask ? mask + at : nullptr, inputs, map.low, map.high, sums);
          }
        float* __restrict to = out + row * m.w + x;
        for (int i = 0; i < outputs; ++i) {
          float value = 0, known = 0;
          for (int k = 0; k < factor.w; ++k) {
            value += sums.value[i * factor.w + k];
            known += sums.known[i * factor.w + k];
          }
          to[i] = block_mean(value, known, blocks.needed);
        }
        for (int i = 0; i < outputs; ++i) to[i] = apply_intensity_map(own, to[i]);
      }
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
