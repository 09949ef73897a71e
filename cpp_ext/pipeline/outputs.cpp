#include "pipeline/outputs.h"

#include "ops/interruption.h"
#include "pipeline/quality.h"
#include "solver/deform/determinant_floors.h"

namespace mmreg {
namespace {

constexpr int kInverseIterations = 60;
constexpr float kInverseTolerance_vox = 1e-3f;

void add(const Context& context, const float* u, Extent n, const Change& c, float* out) {
  context.add_affine(u, n, c.linear, c.map, out);
}

// The inverse of the deformation at the moving voxels, in voxels of the fixed grid.
Buffer<float> inverted(const Context& context, Displacement u, const AffineMap& to_fixed, Extent m) {
  Buffer<float> back(context, u.n, 3), there(context, m, 3);
  context.invert(u.data, u.n, kInverseIterations, kInverseTolerance_vox, back.data());
  context.resample_affine(back, to_fixed.m, m, Interpolation::linear, Border::extend, there.data(), nullptr);
  return there;
}

}  // namespace

void resample_outputs(const Context& context, const Frames& frames, const Scan& fixed, const Scan& moving,
                      const float* u, const Outside& outside, float* displacement_mm, float* sample, float* warped,
                      std::uint8_t* valid) {
  const Extent n = fixed.extent;
  const AffineMap to_moving = frames.to_moving(), to_moving_mm = compose(frames.affine, frames.fixed_mm);
  add(context, u, n, change(to_moving_mm, to_moving_mm, frames.fixed_mm), displacement_mm);
  add(context, u, n, change(to_moving, to_moving, AffineMap()), sample);
  context.warp(moving, Displacement{sample, n}, Interpolation::linear, outside, warped, valid);
}

namespace {

struct Finish {  // the data that its parts share
  const Context& context;
  MeasuredScan& measured_moving;
  const Scan &fixed, &moving;
  const Frames frames;
  const float* u;
  Clock& clock;
  PipelineResult& result;

  Buffer<float> rendered() const {
    const Extent n = fixed.extent;
    result.displacement_mm = Buffer<float>(context, n, 3);
    result.warped = Buffer<float>(context, n);
    result.valid = Buffer<std::uint8_t>(context, n);
    Buffer<float> sample(context, n, 3);
    const Outside lowest(float(measured_moving.lowest()));
    resample_outputs(context, frames, fixed, moving, u, lowest, result.displacement_mm.data(), sample.data(),
                     result.warped.data(), result.valid.data());
    if (result.deformation_mm.data())
      add(context, u, n, change(frames.fixed_mm, nothing(), nothing()), result.deformation_mm.data());
    return sample;
  }

  // In moving voxels, the unit in which folds are counted.
  Buffer<float> inverse() const {
    const Extent m = moving.extent;
    const AffineMap to_fixed = invert(frames.to_moving());
    const bool deformed = result.deformation_mm.data();
    Buffer<float> back = deformed ? inverted(context, {u, fixed.extent}, to_fixed, m) : constant(context, m, 0, 3);
    const AffineMap grids = compose(invert(frames.moving_mm), frames.fixed_mm);
    add(context, back.data(), m, change(grids, compose(grids, to_fixed), AffineMap()), back.data());
    if (deformed) context.remove_folds(back.data(), m, kLeastInverseDeterminant, kMostFoldRounds);
    result.inverse_mm = Buffer<float>(context, m, 3);
    add(context, back.data(), m, change(frames.moving_mm, nothing(), nothing()), result.inverse_mm.data());
    return back;
  }

  bool affords(double seconds) const { return !clock.limited() || clock.left() > seconds; }

  // Runs `work` and sets `taken` to its seconds; returns false if there was no time to complete it.
  template <class Work>
  bool in_time(double seconds, double& taken, const Work& work) const {
    const double start = clock.seconds();
    try {
      const Interruption alarm(context, clock.alarm(clock.costs().handing_out));
      if (affords(seconds)) {
        work();
        taken = clock.seconds() - start;
        return true;
      }
    } catch (const Abandoned&) {
    }
    result.degraded = true;
    return false;
  }
};

}  // namespace

void finish(const Context& context, MeasuredScan& fixed, MeasuredScan& moving, const float* u,
            const PipelineOptions& options, Clock& clock, PipelineResult& r) {
  const Finish part{context, moving, fixed, moving, Frames(fixed, moving, r.affine), u, clock, r};
  const double start = clock.seconds();
  const Buffer<float> sample = part.rendered();
  r.taken.render = clock.seconds() - start;
  const Costs& costs = clock.costs();
  Buffer<float> back;
  const double inverse_s = costs.handing_out + (r.deformation_mm.data() ? costs.inverse : 0);
  if (options.inverse && !part.in_time(inverse_s, r.taken.inverse, [&] { back = part.inverse(); })) r.inverse_mm = {};
  part.in_time(costs.handing_out, r.taken.figures, [&] {
    measure(context, fixed, moving, {part.frames, {u, part.fixed.extent}, sample, back}, options.figures, r);
  });
  if (options.outside)
    context.warp(part.moving, sample, Interpolation::linear, Outside(*options.outside), r.warped.data(), nullptr);
}

}  // namespace mmreg
