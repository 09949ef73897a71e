#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void fill(Queue& queue, std::int64_t count, float value, float* out) {
  parallel(queue, count, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = value;
  });
}

void axpby(Queue& queue, std::int64_t count, float a, const float* x, float b, const float* y, float* out) {
  parallel(queue, count, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i) out[i] = a * x[i] + b * y[i];
  });
}

}  // namespace mmreg::MMREG_TARGET
