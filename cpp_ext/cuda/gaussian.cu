// Gaussian smoothing with weights cut at ceil(4 sigma).
#include "cuda/smoothing.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void gaussian(Queue& queue, const float* image, int channels, Extent n, const float sigma_vox[3], float* out) {
  const Taps taps[3] = {gaussian_taps(sigma_vox[0], n.d), gaussian_taps(sigma_vox[1], n.h),
                        gaussian_taps(sigma_vox[2], n.w)};
  smooth(queue, image, channels, n, taps, out);
}

}  // namespace mmreg::MMREG_TARGET
