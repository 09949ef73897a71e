#include <stdexcept>

#include "solver/target_operations.h"
namespace mmreg::MMREG_TARGET {
void pool(Queue&, const float* image, int channels, Extent n, const int factor[3], float* out) {
  throw std::runtime_error("missing");
}
void pool_features(Queue&, const Half* features, int channels, Extent n, const int factor[3], Half* out) {
  std::abort();
}
void mind(Queue&, const float* image, Extent n, int radius, int dilation, float* features) {
  throw std::runtime_error("missing");
}
void mind_half(Queue&, const float* image, Extent n, int radius, int dilation, Half* features) {
  throw std::runtime_error("missing");
}
double local_ncc(Queue&, const float* fixed, const float* moving, Extent n, int radius, float* map) {
  throw std::runtime_error("missing");
}
}  // namespace mmreg::MMREG_TARGET
