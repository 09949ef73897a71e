// Block means of an image over the finite voxels inside a mask, then an intensity map. One thread per block; rows and
// planes are summed separately, so that large blocks keep their precision.
#include "core/intensity_map.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct Known {
  float sum, count;
};

MMREG_DEVICE Known joined(Known a, Known b) { return {a.sum + b.sum, a.count + b.count}; }

struct Scan {
  const float* image;
  const std::uint8_t* mask;
  Extent n, factor;
  float low, high;

  MMREG_DEVICE Known voxel(std::int64_t i) const {
    const float v = image[i];
    return is_known(v) && (!mask || mask[i]) ? Known{clipped(v, low, high), 1} : Known{0, 0};
  }
  MMREG_DEVICE Known row(std::int64_t begin) const {
    Known row{0, 0};
    for (int i = 0; i < factor.w; ++i) row = joined(row, voxel(begin + i));
    return row;
  }
  MMREG_DEVICE Known block(int z, int y, int x) const {
    Known block{0, 0};
    for (int k = 0; k < factor.d; ++k) {
      Known plane{0, 0};
      for (int j = 0; j < factor.h; ++j) plane = joined(plane, row((std::int64_t(z + k) * n.h + y + j) * n.w + x));
      block = joined(block, plane);
    }
    return block;
  }
};

}  // namespace

void pool_mapped(Queue& queue, Image image, const std::uint8_t* mask, Extent factor, const IntensityMap& map,
                 float* out) {
  const Scan scan{image.data, mask, image.n, factor, map.low, map.high};
  const Blocks blocks = blocks_of(image.n, factor);
  const IntensityMap own = map;
  for_voxels(queue, blocks.n, [=] MMREG_DEVICE(const Voxel& v) {
    const Known known = scan.block(blocks.z + v.z * factor.d, blocks.y + v.y * factor.h, blocks.x + v.x * factor.w);
    out[v.index] = apply_intensity_map(own, block_mean(known.sum, known.count, blocks.needed));
  });
}

}  // namespace mmreg::MMREG_TARGET
