// Noise and contrast of the neighbourhood of each voxel: 27 reads, nearly all from cache.
#include "core/texture.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void texture(Queue& queue, Image image, float* noise, float* contrast) {
  const Extent n = image.n;
  const Stencil along_x = stencil(n.w);
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    const int columns[3] = {inside(v.x - 1, n.w), v.x, inside(v.x + 1, n.w)};
    const Texture t = texture_at(rows_around(image.data, n, v.z, v.y), along_x, columns);
    noise[v.index] = t.noise;
    contrast[v.index] = t.contrast;
  });
}

}  // namespace mmreg::MMREG_TARGET
