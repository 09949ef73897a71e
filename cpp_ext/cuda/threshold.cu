#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void threshold(Queue& queue, const float* values, const std::uint8_t* mask, std::int64_t count, float threshold,
               std::uint8_t* flags) {
  for_each(queue, count,
           [=] MMREG_DEVICE(std::int64_t i) { flags[i] = values[i] > threshold && (!mask || mask[i]) ? 1 : 0; });
}

}  // namespace mmreg::MMREG_TARGET
