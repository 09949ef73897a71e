// Resamples an image onto another grid through an affine index map.
// clang-format off: the order of these headers matters
#include "cuda/sampling.h"
#include "core/sample_image.h"
// clang-format on
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void resample_affine(Queue& queue, Image moving, const double* map, Extent n, Interpolation kind,
                     const Outside& outside, float* out, std::uint8_t* valid) {
  sample_image(queue, moving, kind, outside, n, mapped(map), out, valid);
}

}  // namespace mmreg::MMREG_TARGET
