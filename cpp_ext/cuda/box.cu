// Mean over a box, as a filter of equal weights. Each output has its own sum, so that a voxel that is not finite
// affects only the windows that contain it.
#include "cuda/smoothing.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void box(Queue& queue, Image image, const int radius[3], float* out) {
  const Taps taps[3] = {box_taps(radius[0], image.n.d), box_taps(radius[1], image.n.h), box_taps(radius[2], image.n.w)};
  smooth(queue, image, taps, out);
}

}  // namespace mmreg::MMREG_TARGET
