#include "pipeline/network.h"

#include "core/force_data.h"
#include "pipeline/stopwatch.h"

namespace mmreg {
namespace {

Scan grid_of(const Engine& engine) { return {nullptr, engine.extent, engine.affine, nullptr}; }

// Of a network for slices: nothing moves across them.
TableMemory<float> field_of(const Operations& operations, Queue& queue, const Engine& engine, const Seen& seen,
                            Extent n) {
  TableMemory<float> field = constant(operations, queue, 3 * voxels(n), 0);
  engine.field(seen.fixed.moving.data(), seen.moving.moving.data(), field.data() + (3 - engine.dims) * voxels(n));
  return field;
}

// A displacement on the network's grid on that of the fixed scan, each in voxels of its own grid.
TableMemory<float> onto(const Operations& operations, Queue& queue, const float* u, const Scan& grid,
                        const Scan& fixed) {
  const AffineMap to_grid = compose(invert(grid.affine), fixed.affine), from_grid = invert(to_grid);
  TableMemory<float> there(operations, queue, 3 * std::size_t(voxels(fixed.extent)));
  operations.resample_affine(queue, u, 3, grid.extent, to_grid.m, fixed.extent, Interpolation::linear, Border::extend,
                             there.data(), nullptr);
  const Change turned = change(from_grid, nothing(), nothing());
  operations.add_affine(queue, there.data(), fixed.extent, turned.linear, turned.map, there.data());
  return there;
}

}  // namespace

Seen see(const Operations& operations, Queue& queue, const Engine& engine, const Scan& fixed, const Scan& moving,
         const AffineMap& to_moving_mm) {
  const Scan grid = grid_of(engine);
  Scan own_fixed = fixed, own_moving = moving;
  own_fixed.data = engine.fixed, own_moving.data = engine.moving;
  return {grid, prepare(operations, queue, grid, own_fixed, Frames(grid, fixed, AffineMap()).to_moving()),
          prepare(operations, queue, grid, own_moving, Frames(grid, moving, to_moving_mm).to_moving())};
}

TableMemory<float> predict(const Operations& operations, Queue& queue, const Engine& engine, const Seen& seen,
                           const Scan& fixed) {
  const Factor factor = engine.field_factor(), whole{{1, 1, 1}};
  const Extent n = extent_of(engine.extent, factor);
  TableMemory<float> u = field_of(operations, queue, engine, seen, n);
  for (int a = 0; a < 3; ++a) {  // to voxels of its own grid
    float* const component = u.data() + a * voxels(n);
    operations.combine(queue, voxels(n), 1.0f / float(factor.f[a]), component, 0, component, component);
  }
  if (engine.output == EngineOutput::velocity) {
    TableMemory<float> flow(operations, queue, u.size());
    operations.integrate(queue, u.data(), n, engine.integration_steps, flow.data());
    u = std::move(flow);
  }
  u = change_level(operations, queue, u.data(), n, factor, engine.extent, whole);
  u = onto(operations, queue, u.data(), seen.grid, fixed);
  operations.unfold(queue, u.data(), fixed.extent, least_determinant, most_unfold_rounds);
  return u;
}

Prior describing(const Operations& operations, Queue& queue, const Engine& engine, const Scan& scan, double& seconds) {
  Prior prior;
  const int channels = prior.channels = (engine.planes + extra_channels + 15) / 16 * 16;
  const AffineMap to_scan = Frames(grid_of(engine), scan, AffineMap()).to_moving();
  prior.describe = [&operations, &queue, &engine, &seconds, scan, to_scan, channels](Side side, const float* image,
                                                                                     Half* features) {
    const Stopwatch watch;
    Scan seen = scan;
    seen.data = image, seen.mask = nullptr;
    TableMemory<float> own(operations, queue, std::size_t(voxels(engine.extent)) * std::size_t(engine.planes));
    engine.describe(side, prepare(operations, queue, grid_of(engine), seen, to_scan).moving.data(), own.data());
    const std::int64_t count = voxels(scan.extent);
    TableMemory<float> planes(operations, queue, std::size_t(count) * std::size_t(engine.planes));
    operations.resample_affine(queue, own.data(), engine.planes, engine.extent, invert(to_scan).m, scan.extent,
                               Interpolation::linear, Border::extend, planes.data(), nullptr);
    operations.interleave(queue, planes.data(), engine.planes, count, channels, features);
    seconds += watch.seconds();
  };
  return prior;
}

}  // namespace mmreg
