#include <stdexcept>

#include "solver/target_operations.h"
namespace mmreg::MMREG_TARGET {
void cost_volume(Queue&, const Half* fixed, const Half* moving, int channels, int used, Extent n, const int radius[3],
                 float* cost) {
  std::abort();
}
void cost_volume_half(Queue&, const Half* fixed, const Half* moving, int channels, int used, Extent n,
                      const int radius[3], Half* cost) {
  std::abort();
}
void smooth_cost(Queue&, const float* cost, Extent n, int count, int radius, float* out) {
  throw std::runtime_error("missing");
}
void smooth_cost_half(Queue&, const Half* cost, Extent n, int count, int radius, Half* out) {
  throw std::runtime_error("missing");
}
void coupled_convex(Queue&, const float* cost, const float* u, Extent n, const int radius[3], float weight,
                    float* out) {
  std::abort();
}
void coupled_convex_half(Queue&, const Half* cost, const float* u, Extent n, const int radius[3], float weight,
                         float* out) {
  std::abort();
}
void joint_histogram(Queue&, const float* fixed, const float* moving, const std::uint8_t* mask, std::int64_t count,
                     Binning fixed_bins, Binning moving_bins, Parzen parzen, double* histogram) {
  std::abort();
}
std::int64_t percentiles(Queue&, const float* image, const std::uint8_t* mask, std::int64_t count,
                         const double* fractions, int wanted, float* values) {
  std::abort();
}
}  // namespace mmreg::MMREG_TARGET
