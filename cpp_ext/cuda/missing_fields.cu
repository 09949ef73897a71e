#include <stdexcept>

#include "solver/target_operations.h"
namespace mmreg::MMREG_TARGET {
Inversion invert(Queue&, const float* u, Extent n, int iterations, float tolerance, float* v) { throw std::runtime_error("missing"); }
std::int64_t unfold(Queue&, float* u, Extent n, float floor, int rounds) { throw std::runtime_error("missing"); }
}  // namespace mmreg::MMREG_TARGET
