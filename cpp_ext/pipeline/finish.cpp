#include "pipeline/finish.h"

#include "pipeline/quality.h"

namespace mmreg {
namespace {

constexpr int kInverseIterations = 60;
constexpr float kInverseTolerance_vox = 1e-3f;
constexpr float kLeastDeterminant = 0.01f;

TableMemory<float> field(const Operations& operations, Queue& queue, Extent n) {
  return {operations, queue, 3 * std::size_t(voxels(n))};
}

void add(const Operations& operations, Queue& queue, const float* u, Extent n, const Change& c, float* out) {
  operations.add_affine(queue, u, n, c.linear, c.map, out);
}

// The inverse of the deformation where the moving voxels come to lie, in voxels of the fixed grid.
TableMemory<float> inverted(const Operations& operations, Queue& queue, const float* u, Extent n, Extent m,
                            const AffineMap& to_fixed) {
  TableMemory<float> back = field(operations, queue, n), there = field(operations, queue, m);
  operations.invert(queue, u, n, kInverseIterations, kInverseTolerance_vox, back.data());
  operations.resample_affine(queue, back.data(), 3, n, to_fixed.m, m, Interpolation::linear, Border::extend,
                             there.data(), nullptr);
  return there;
}

}  // namespace

void render(const Operations& operations, Queue& queue, const Frames& frames, const Scan& fixed, const Scan& moving,
            const float* u, const Outside& outside, float* displacement_mm, float* sample, float* warped,
            std::uint8_t* valid) {
  const Extent n = fixed.extent;
  const AffineMap to_moving = frames.to_moving(), to_moving_mm = compose(frames.affine, frames.fixed_mm);
  add(operations, queue, u, n, change(to_moving_mm, to_moving_mm, frames.fixed_mm), displacement_mm);
  add(operations, queue, u, n, change(to_moving, to_moving, AffineMap()), sample);
  operations.warp(queue, moving.data, 1, moving.extent, sample, n, Interpolation::linear, outside, warped, valid);
}

void finish(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving, const float* u,
            std::optional<float> outside, PipelineResult& r) {
  const Extent n = fixed.extent, m = moving.extent;
  const Frames frames(fixed, moving, r.affine);
  const AffineMap to_fixed = invert(frames.to_moving());
  const std::size_t count = std::size_t(voxels(n));
  r.displacement_mm = field(operations, queue, n), r.inverse_mm = field(operations, queue, m);
  r.warped = TableMemory<float>(operations, queue, count);
  r.valid = TableMemory<std::uint8_t>(operations, queue, count);
  const TableMemory<float> sample = field(operations, queue, n);
  const Outside lowest(float(operations.summary(queue, moving.data, voxels(m)).smallest));
  render(operations, queue, frames, fixed, moving, u, lowest, r.displacement_mm.data(), sample.data(), r.warped.data(),
         r.valid.data());

  // The inverse in moving voxels, which is where its folds are looked for.
  TableMemory<float> back = inverted(operations, queue, u, n, m, to_fixed);
  const AffineMap grids = compose(invert(frames.moving_mm), frames.fixed_mm);
  add(operations, queue, back.data(), m, change(grids, compose(grids, to_fixed), AffineMap()), back.data());
  operations.unfold(queue, back.data(), m, kLeastDeterminant, most_unfold_rounds);
  add(operations, queue, back.data(), m, change(frames.moving_mm, nothing(), nothing()), r.inverse_mm.data());

  if (r.deformation_mm.data())
    add(operations, queue, u, n, change(frames.fixed_mm, nothing(), nothing()), r.deformation_mm.data());
  measure(operations, queue, fixed, moving, {frames, u, sample.data(), back.data()}, r);
  if (outside)
    operations.warp(queue, moving.data, 1, m, sample.data(), n, Interpolation::linear, Outside(*outside),
                    r.warped.data(), nullptr);
}

}  // namespace mmreg
