#include <stdexcept>

#include "solver/target_operations.h"
namespace mmreg::MMREG_TARGET {
Inversion invert(Queue&, const float* u, Extent n, int iterations, float tolerance, float* v) {
  throw std::runtime_error("missing");
}
Folding folding(Queue&, const float* u, Extent n) { throw std::runtime_error("missing"); }
Reach reach(Queue&, const float* u, Extent n) { throw std::runtime_error("missing"); }
void add_affine(Queue&, const float* u, Extent n, const double* linear, const double* map, float* out) {
  throw std::runtime_error("missing");
}
void lengths(Queue&, const float* u, Extent n, float* out) { throw std::runtime_error("missing"); }
void combine(Queue&, std::int64_t count, float a, const float* x, float b, const float* y, float* out) {
  throw std::runtime_error("missing");
}
void multiply(Queue&, const float* field, int channels, std::int64_t count, const float* weight, float* out) {
  std::abort();
}
void divide(Queue&, const float* field, int channels, std::int64_t count, const float* weight, float* out) {
  std::abort();
}
void select(Queue&, const std::uint8_t* mask, std::int64_t count, const float* inside, const float* outside,
            float* out) {
  std::abort();
}
Summary summary(Queue&, const float* values, std::int64_t count) { throw std::runtime_error("missing"); }
void above(Queue&, const float* values, const std::uint8_t* mask, std::int64_t count, float threshold,
           std::uint8_t* flags) {
  std::abort();
}
void interleave(Queue&, const float* planes, int wanted, std::int64_t count, int channels, Half* features) {
  std::abort();
}
void attach(Queue&, const float* image, const std::uint8_t* valid, Extent n, float scale, float offset, int channels,
            Half* features) {
  std::abort();
}
void active_rows(Queue&, const float* fixed, float fixed_background, const float* moving, float moving_background,
                 Extent n, int margin, std::int32_t* rows) {
  std::abort();
}
std::int64_t unfold(Queue&, float* u, Extent n, float floor, int rounds) { throw std::runtime_error("missing"); }
}  // namespace mmreg::MMREG_TARGET
