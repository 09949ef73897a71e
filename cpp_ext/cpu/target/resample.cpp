// An image on another grid, through an affine map of indices.
#include "cpu/target/operations.h"
#include "cpu/target/sampling.h"

namespace mmreg::MMREG_TARGET {
namespace {

// Points A (z, y, x) + b: the start of each vector in double, then steps along the row.
struct Mapped {
  const double* map;  // 3 x 4, rows z, y, x
  template <class Count>
  MMREG_INLINE Points operator()(Voxel v, Count) const {
    const Floats along = to_floats(lane_numbers());
    const auto row = [&](const double* a) {
      return float(a[0] * v.z + a[1] * v.y + a[2] * v.x + a[3]) + float(a[2]) * along;
    };
    return {row(map), row(map + 4), row(map + 8)};
  }
};

}  // namespace

void resample_affine(Queue& queue, const float* moving, int channels, Extent m, const double* map, Extent n,
                     Interpolation kind, Border border, float* out, std::uint8_t* valid) {
  sample_image(queue, moving, channels, m, kind, border, n, Mapped{map}, out, valid);
}

}  // namespace mmreg::MMREG_TARGET
