#include "pipeline/prepare.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "solver/pull.h"

namespace mmreg {
namespace {

constexpr double kLeastBlur_vox = 0.25;

// A moving scan finer than the fixed grid is smoothed first, or it would alias: a sample then stands for as much of
// the scan as a fixed voxel does.
bool blur(const AffineMap& to_moving, Extent n, float sigma_vox[3]) {
  const int length[3] = {n.d, n.h, n.w};
  bool wanted = false;
  for (int a = 0; a < 3; ++a) {
    double step = 0;
    for (int j = 0; j < 3; ++j) step += to_moving(a, j) * to_moving(a, j);
    sigma_vox[a] = length[a] > 1 && step > 1 ? float(0.5 * std::sqrt(step - 1)) : 0.0f;
    if (sigma_vox[a] < kLeastBlur_vox) sigma_vox[a] = 0;
    wanted |= sigma_vox[a] > 0;
  }
  return wanted;
}

}  // namespace

double covered(const TableMemory<std::uint8_t>& valid) {
  std::vector<std::uint8_t> inside(valid.size());
  valid.download(inside.data());
  return double(std::count(inside.begin(), inside.end(), 1)) / double(inside.size());
}

DeformInput input_of(const Scan& fixed, const float* moving, const std::uint8_t* moving_valid) {
  DeformInput input{fixed.data, moving, fixed.mask, moving_valid, fixed.extent, {}, nullptr, nullptr, 0};
  for (int a = 0; a < 3; ++a) input.spacing_mm[a] = length(column(fixed.affine, a));
  return input;
}

Prepared prepare(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving,
                 const AffineMap& to_moving) {
  const std::int64_t count = voxels(moving.extent);
  const std::size_t fixed_count = std::size_t(voxels(fixed.extent));
  Prepared p{{operations, queue, fixed_count}, {operations, queue, fixed_count}};
  const float lowest = float(operations.summary(queue, moving.data, count).smallest);
  TableMemory<float> shifted = constant(operations, queue, count, 1.0f);
  operations.combine(queue, count, 1, moving.data, -lowest, shifted.data(), shifted.data());
  float sigma_vox[3];
  if (blur(to_moving, moving.extent, sigma_vox))
    operations.gaussian(queue, shifted.data(), 1, moving.extent, sigma_vox, shifted.data());
  operations.resample_affine(queue, shifted.data(), 1, moving.extent, to_moving.m, fixed.extent, Interpolation::linear,
                             Border::zero, p.moving.data(), p.valid.data());
  if (moving.mask)
    restrict_to_mask(operations, queue, moving.mask, moving.extent, to_moving, fixed.extent, p.valid.data());
  return p;
}

}  // namespace mmreg
