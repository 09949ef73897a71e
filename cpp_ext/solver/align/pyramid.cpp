#include "solver/align/pyramid.h"

#include <algorithm>

#include "solver/align/intensity_map.h"

namespace mmreg {
namespace {

int block(int n, double step_mm,
          double spacing_mm) {  // voxels of one block along an axis; at least 4 blocks, if there are 4 voxels
  const int rounded = int(spacing_mm / step_mm + 0.5), most = std::min(256, std::max(1, n / 4));
  return std::min(most, std::max(1, rounded));
}

PyramidLevel pooled_level(const Context& context, Image image, const std::uint8_t* mask, const AffineMap& affine,
                          double spacing_mm, const IntensityMap& intensity_map) {
  const Extent n = image.n;
  const Extent f = {block(n.d, length(column(affine, 0)), spacing_mm),
                    block(n.h, length(column(affine, 1)), spacing_mm),
                    block(n.w, length(column(affine, 2)), spacing_mm)};
  const Extent m = {n.d / f.d, n.h / f.h, n.w / f.w};
  AffineMap step;  // indices of the level to indices of the image: centres of the blocks
  const int in[3] = {n.d, n.h, n.w}, out[3] = {m.d, m.h, m.w}, factor[3] = {f.d, f.h, f.w};
  for (int k = 0; k < 3; ++k) {
    step(k, k) = factor[k];
    step(k, 3) = (in[k] - out[k] * factor[k]) / 2 + 0.5 * (factor[k] - 1);
  }
  PyramidLevel level{{context, m}, compose(affine, step)};
  context.pool_mapped(image, mask, f, intensity_map, level.image.data());
  return level;
}

}  // namespace

std::vector<PyramidLevel> build_pyramid(const Context& context, const Scan& scan, const ScanStatistics& statistics,
                                        const std::vector<double>& spacings_mm) {
  std::vector<PyramidLevel> levels;
  for (double spacing_mm : spacings_mm) {
    if (levels.empty()) {
      levels.push_back(pooled_level(context, scan, scan.mask, statistics.affine, spacing_mm, statistics.intensity_map));
    } else {
      const PyramidLevel& finer = levels.back();
      levels.push_back(pooled_level(context, finer.image, nullptr, finer.affine, spacing_mm, identity_intensity_map()));
    }
  }
  return levels;
}

}  // namespace mmreg
