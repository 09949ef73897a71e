#include <cstdlib>

#include "solver/target_operations.h"
namespace mmreg::MMREG_TARGET {
void joint_histogram(Queue&, const float* fixed, const float* moving, const std::uint8_t* mask, std::int64_t count,
                     Binning fixed_bins, Binning moving_bins, Parzen parzen, double* histogram) {
  std::abort();
}
std::int64_t percentiles(Queue&, const float* image, const std::uint8_t* mask, std::int64_t count,
                         const double* fractions, int wanted, float* values) {
  std::abort();
}
}  // namespace mmreg::MMREG_TARGET
