#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void fill(Queue& queue, std::int64_t count, float value, float* out) {
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) { out[i] = value; });
}

void axpby(Queue& queue, std::int64_t count, float a, const float* x, float b, const float* y, float* out) {
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) { out[i] = a * x[i] + b * y[i]; });
}

}  // namespace mmreg::MMREG_TARGET
