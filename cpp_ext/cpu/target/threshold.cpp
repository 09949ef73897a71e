#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void threshold(Queue& queue, const float* values, const std::uint8_t* mask, std::int64_t count, float threshold,
               std::uint8_t* flags) {
  parallel(queue, count, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) flags[i] = values[i] > threshold && (!mask || mask[i]);
  });
}

}  // namespace mmreg::MMREG_TARGET
