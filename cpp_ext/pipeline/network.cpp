#include "pipeline/network.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "core/similarity_gradient_data.h"
#include "ops/coded_error.h"
#include "pipeline/stopwatch.h"

namespace mmreg {
namespace {

Scan grid_of(const Engine& engine) { return {nullptr, engine.extent, engine.affine, nullptr}; }

// A displacement on the network's grid on that of the fixed scan, each in voxels of its own grid.
void onto(const Context& context, Image u, const AffineMap& affine, const Scan& fixed, float* there) {
  const AffineMap to_grid = compose(invert(affine), fixed.affine), from_grid = invert(to_grid);
  context.resample_affine(u, to_grid.m, fixed.extent, Interpolation::linear, Border::extend, there, nullptr);
  const Change turned = change(from_grid, nothing(), nothing());
  context.add_affine(there, fixed.extent, turned.linear, turned.map, there);
}

bool equal(const Normalisation& a, const Normalisation& b) {
  return a.kind == b.kind && a.low == b.low && a.high == b.high;
}
bool equal(Extent a, Extent b) { return a.d == b.d && a.h == b.h && a.w == b.w; }

// The fixed scan as the network sees it: the same for all moving scans.
const float* seen_of(const Context& context, const Engine& engine, MeasuredScan& fixed) {
  NetworkInput& seen = fixed.network_input;
  const bool known = seen.image.data() && equal(seen.extent, engine.extent) &&
                     equal(seen.intensities, engine.intensities) &&
                     std::equal(seen.affine.m, seen.affine.m + 12, engine.affine.m);
  if (known) return seen.image.data();
  Buffer<float> image(context, engine.extent);
  const Buffer<Extremes> found(context, 1);
  preprocess_scan(context, engine, fixed, AffineMap(), image.data(), found.data());
  seen = {engine.extent, engine.affine, engine.intensities, std::move(image)};  // whole: a deadline may interrupt it
  return seen.image.data();
}

}  // namespace

Buffer<float> normalised(const Context& context, const Engine& engine, const Scan& scan, Extremes* found) {
  Buffer<float> image(context, scan.extent);
  context.normalise(scan.data, voxels(scan.extent), engine.intensities, image.data(), found);
  return image;
}

void preprocess_scan(const Context& context, const Engine& engine, const Scan& scan, const AffineMap& to_scan_mm,
                     float* seen, Extremes* found) {
  const Buffer<float> image = normalised(context, engine, scan, found);
  const Buffer<std::uint8_t> valid(context, engine.extent);
  resample_to_grid(context, {image.data(), scan.extent}, Frames(grid_of(engine), scan, to_scan_mm).to_moving(),
                   engine.extent, seen, valid.data());
}

void field_to_fixed(const Context& context, const Engine& engine, float* field, const Scan& fixed, float* u) {
  const Factor factor = engine.field_factor(), whole{{1, 1, 1}};
  const Extent n = extent_of(engine.extent, factor);
  for (int a = 0; a < 3; ++a) {  // to voxels of its own grid
    float* const component = field + a * voxels(n);
    context.axpby(voxels(n), 1.0f / float(factor.f[a]), component, 0, component, component);
  }
  Buffer<float> flow;
  if (engine.output == EngineOutput::velocity) {
    flow = Buffer<float>(context, n, 3);
    context.integrate(field, n, engine.integration_steps, flow.data());
    field = flow.data();
  }
  const Buffer<float> seen = change_level(context, {field, n}, factor, engine.extent, whole);
  onto(context, seen, engine.affine, fixed, u);
}

bool begins(Clock& clock, double expected_s, double share, NetworkRun& run) {
  bool late = clock.too_late(Stage::network, share);
  if (clock.limited()) {
    run.expected_s = expected_s;
    run.left_s = clock.left() - clock.least();
    late |= run.left_s < run.expected_s;
  }
  run.end = late ? NetworkEnd::not_begun : NetworkEnd::stopped;  // unless it ends
  return !late;
}

Buffer<float> predict(const Context& context, const Engine& engine, MeasuredScan& fixed_scan, const Scan& moving,
                      const AffineMap& to_moving_mm, const Stop& stop) {
  const Scan& fixed = fixed_scan;
  const Buffer<Extremes> found(context, 1);
  const Buffer<float> m(context, engine.extent);
  const float* const f = seen_of(context, engine, fixed_scan);
  preprocess_scan(context, engine, moving, to_moving_mm, m.data(), found.data());
  const Extent coarse = extent_of(engine.extent, engine.field_factor());
  const Buffer<float> field = constant(context, coarse, 0, 3);  // nothing moves across slices
  engine.field(f, m.data(), field.data() + (3 - engine.dims) * voxels(coarse), stop);
  Buffer<float> u(context, fixed.extent, 3);
  field_to_fixed(context, engine, field.data(), fixed, u.data());
  if (context.max_displacement(u.data(), fixed.extent).not_finite)
    throw CodedError("MMREG_E_MODEL_OUTPUT", "the field of the network is not finite everywhere");
  context.remove_folds(u.data(), fixed.extent, kLeastDeterminant, kMostFoldRounds);
  return u;
}

Prior describing(const Context& context, const Engine& engine, const Scan& scan, const Stop& stop, double& seconds,
                 Buffer<Half>* fixed) {
  Prior prior;
  const auto held = std::make_shared<std::array<Buffer<Half>, 2>>();
  const int channels = prior.channels = (engine.planes + kExtraChannels + 15) / 16 * 16;
  const AffineMap to_scan = Frames(grid_of(engine), scan, AffineMap()).to_moving();
  prior.describe = [context, &engine, &seconds, scan, stop, to_scan, channels, held, fixed](Side side,
                                                                                            const float* image) {
    const bool keeps = side == Side::fixed && fixed;
    if (keeps && fixed->data()) return static_cast<const Half*>(fixed->data());
    const Timed timed(seconds);
    Scan seen = scan;
    seen.data = image;
    seen.mask = nullptr;
    Buffer<float> own(context, engine.extent, engine.planes), planes(context, scan.extent, engine.planes);
    engine.describe(side, prepare(context, grid_of(engine), seen, to_scan).moving.data(), own.data(), stop);
    context.resample_affine(own, invert(to_scan).m, scan.extent, Interpolation::linear, Border::extend, planes.data(),
                            nullptr);
    Buffer<Half> features(context, scan.extent, channels);
    context.interleave(planes, channels, features.data());
    Buffer<Half>& owner = keeps ? *fixed : (*held)[std::size_t(side)];
    owner = std::move(features);
    return static_cast<const Half*>(owner.data());
  };
  return prior;
}

}  // namespace mmreg
