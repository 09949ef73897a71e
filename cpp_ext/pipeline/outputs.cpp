#include "pipeline/outputs.h"

#include "ops/alarm.h"
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

namespace {

struct Finish {  // what each part of it sees
  const Operations& operations;
  Queue& queue;
  const Scan &fixed, &moving;
  const Frames frames;
  const float* u;
  const Clock& clock;
  PipelineResult& result;

  TableMemory<float> rendered() const {
    const std::size_t count = std::size_t(voxels(fixed.extent));
    result.displacement_mm = field(operations, queue, fixed.extent);
    result.warped = TableMemory<float>(operations, queue, count);
    result.valid = TableMemory<std::uint8_t>(operations, queue, count);
    TableMemory<float> sample = field(operations, queue, fixed.extent);
    const Outside lowest(float(operations.summary(queue, moving.data, voxels(moving.extent)).smallest));
    render(operations, queue, frames, fixed, moving, u, lowest, result.displacement_mm.data(), sample.data(),
           result.warped.data(), result.valid.data());
    if (result.deformation_mm.data())
      add(operations, queue, u, fixed.extent, change(frames.fixed_mm, nothing(), nothing()),
          result.deformation_mm.data());
    return sample;
  }

  // In moving voxels, which is where its folds are looked for.
  TableMemory<float> inverse() const {
    const Extent n = fixed.extent, m = moving.extent;
    const AffineMap to_fixed = invert(frames.to_moving());
    const bool deformed = result.deformation_mm.data();
    TableMemory<float> back =
        deformed ? inverted(operations, queue, u, n, m, to_fixed) : constant(operations, queue, 3 * voxels(m), 0);
    const AffineMap grids = compose(invert(frames.moving_mm), frames.fixed_mm);
    add(operations, queue, back.data(), m, change(grids, compose(grids, to_fixed), AffineMap()), back.data());
    if (deformed) operations.unfold(queue, back.data(), m, kLeastDeterminant, most_unfold_rounds);
    result.inverse_mm = field(operations, queue, m);
    add(operations, queue, back.data(), m, change(frames.moving_mm, nothing(), nothing()), result.inverse_mm.data());
    return back;
  }

  bool affords(double seconds) const { return !clock.limited() || clock.left() > seconds; }

  // True if there was time for all of `work`, which is left where it stands if not. `taken`: how much.
  template <class Work>
  bool in_time(double seconds, double& taken, const Work& work) const {
    const double start = clock.seconds();
    try {
      const Alarm alarm(operations, queue, clock.alarm(clock.costs().handing_out));
      if (affords(seconds)) return work(), taken = clock.seconds() - start, true;
    } catch (const GivenUp&) {
    }
    result.degraded = true;
    return false;
  }
};

}  // namespace

void finish(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving, const float* u,
            std::optional<float> outside, const Clock& clock, PipelineResult& r) {
  const Finish part{operations, queue, fixed, moving, Frames(fixed, moving, r.affine), u, clock, r};
  const double start = clock.seconds();
  const TableMemory<float> sample = part.rendered();
  r.taken.render = clock.seconds() - start;
  const Costs& costs = clock.costs();
  TableMemory<float> back;
  const double inverse_s = costs.handing_out + (r.deformation_mm.data() ? costs.inverse : 0);
  if (!part.in_time(inverse_s, r.taken.inverse, [&] { back = part.inverse(); })) r.inverse_mm = {};
  part.in_time(costs.handing_out, r.taken.figures,
               [&] { measure(operations, queue, fixed, moving, {part.frames, u, sample.data(), back.data()}, r); });
  if (outside)
    operations.warp(queue, moving.data, 1, moving.extent, sample.data(), fixed.extent, Interpolation::linear,
                    Outside(*outside), r.warped.data(), nullptr);
}

}  // namespace mmreg
