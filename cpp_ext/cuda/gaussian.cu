// Gaussian smoothing truncated at ceil(4 sigma).
#include "cuda/smoothing.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void gaussian(Queue& queue, Image image, const float sigma_vox[3], float* out) {
  const Taps taps[3] = {gaussian_taps(sigma_vox[0], image.n.d), gaussian_taps(sigma_vox[1], image.n.h),
                        gaussian_taps(sigma_vox[2], image.n.w)};
  smooth(queue, image, taps, out);
}

}  // namespace mmreg::MMREG_TARGET
