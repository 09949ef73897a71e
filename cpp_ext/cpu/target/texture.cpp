// Noise and contrast of the neighbourhood of each voxel.
#include "core/texture.h"

#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void texture(Queue& queue, Image image, float* noise, float* contrast) {
  const Extent n = image.n;
  const Stencil along_x = stencil(n.w);
  parallel(queue, std::int64_t(n.d) * n.h, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const NineRows rows = rows_around(image.data, n, int(r / n.h), int(r % n.h));
      float *const noise_row = noise + r * n.w, *const contrast_row = contrast + r * n.w;
      const auto at = [&](int back, int x, int ahead) {
        const int columns[3] = {back, x, ahead};
        const Texture t = texture_at(rows, along_x, columns);
        noise_row[x] = t.noise;
        contrast_row[x] = t.contrast;
      };
      at(0, 0, inside(1, n.w));
#pragma GCC ivdep
      for (int x = 1; x < n.w - 1; ++x) at(x - 1, x, x + 1);
      if (n.w > 1) at(n.w - 2, n.w - 1, n.w - 1);
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
