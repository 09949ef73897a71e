#include "pipeline/network.h"

#include "core/force_data.h"
#include "ops/device_error.h"
#include "pipeline/stopwatch.h"

namespace mmreg {
namespace {

Scan grid_of(const Engine& engine) { return {nullptr, engine.extent, engine.affine, nullptr}; }

// A displacement on the network's grid on that of the fixed scan, each in voxels of its own grid.
void onto(const Operations& operations, Queue& queue, const float* u, const Scan& grid, const Scan& fixed,
          float* there) {
  const AffineMap to_grid = compose(invert(grid.affine), fixed.affine), from_grid = invert(to_grid);
  operations.resample_affine(queue, u, 3, grid.extent, to_grid.m, fixed.extent, Interpolation::linear, Border::extend,
                             there, nullptr);
  const Change turned = change(from_grid, nothing(), nothing());
  operations.add_affine(queue, there, fixed.extent, turned.linear, turned.map, there);
}

}  // namespace

TableMemory<float> normalised(const Operations& operations, Queue& queue, const Engine& engine, const Scan& scan,
                              Extremes* found) {
  TableMemory<float> image(operations, queue, std::size_t(voxels(scan.extent)));
  operations.normalise(queue, scan.data, voxels(scan.extent), engine.intensities, image.data(), found);
  return image;
}

void see(const Operations& operations, Queue& queue, const Engine& engine, const Scan& scan,
         const AffineMap& to_scan_mm, float* seen, Extremes* found) {
  const TableMemory<float> image = normalised(operations, queue, engine, scan, found);
  const TableMemory<std::uint8_t> valid(operations, queue, std::size_t(voxels(engine.extent)));
  bring(operations, queue, engine.extent, image.data(), scan.extent, nullptr,
        Frames(grid_of(engine), scan, to_scan_mm).to_moving(), seen, valid.data());
}

void follow(const Operations& operations, Queue& queue, const Engine& engine, float* field, const Scan& fixed,
            float* u) {
  const Factor factor = engine.field_factor(), whole{{1, 1, 1}};
  const Extent n = extent_of(engine.extent, factor);
  for (int a = 0; a < 3; ++a) {  // to voxels of its own grid
    float* const component = field + a * voxels(n);
    operations.combine(queue, voxels(n), 1.0f / float(factor.f[a]), component, 0, component, component);
  }
  TableMemory<float> flow;
  if (engine.output == EngineOutput::velocity) {
    flow = TableMemory<float>(operations, queue, 3 * std::size_t(voxels(n)));
    operations.integrate(queue, field, n, engine.integration_steps, flow.data());
    field = flow.data();
  }
  const TableMemory<float> seen = change_level(operations, queue, field, n, factor, engine.extent, whole);
  onto(operations, queue, seen.data(), grid_of(engine), fixed, u);
}

TableMemory<float> predict(const Operations& operations, Queue& queue, const Engine& engine, const Scan& fixed,
                           const Scan& moving, const AffineMap& to_moving_mm, const Stop& stop) {
  const std::size_t count = std::size_t(voxels(engine.extent));
  const TableMemory<Extremes> found(operations, queue, 2);
  const TableMemory<float> f(operations, queue, count), m(operations, queue, count);
  see(operations, queue, engine, fixed, AffineMap(), f.data(), found.data());
  see(operations, queue, engine, moving, to_moving_mm, m.data(), found.data() + 1);
  const std::int64_t coarse = voxels(extent_of(engine.extent, engine.field_factor()));
  const TableMemory<float> field = constant(operations, queue, 3 * coarse, 0);  // nothing moves across slices
  engine.field(f.data(), m.data(), field.data() + (3 - engine.dims) * coarse, stop);
  TableMemory<float> u(operations, queue, 3 * std::size_t(voxels(fixed.extent)));
  follow(operations, queue, engine, field.data(), fixed, u.data());
  if (operations.reach(queue, u.data(), fixed.extent).not_finite)
    throw DeviceError("MMREG_E_MODEL_OUTPUT", "the field of the network is not finite everywhere");
  operations.unfold(queue, u.data(), fixed.extent, least_determinant, most_unfold_rounds);
  return u;
}

Prior describing(const Operations& operations, Queue& queue, const Engine& engine, const Scan& scan, const Stop& stop,
                 double& seconds) {
  Prior prior;
  const int channels = prior.channels = (engine.planes + extra_channels + 15) / 16 * 16;
  const AffineMap to_scan = Frames(grid_of(engine), scan, AffineMap()).to_moving();
  prior.describe = [&operations, &queue, &engine, &seconds, scan, stop, to_scan, channels](
                       Side side, const float* image, Half* features) {
    const Timed timed(seconds);
    Scan seen = scan;
    seen.data = image, seen.mask = nullptr;
    TableMemory<float> own(operations, queue, std::size_t(voxels(engine.extent)) * std::size_t(engine.planes));
    engine.describe(side, prepare(operations, queue, grid_of(engine), seen, to_scan).moving.data(), own.data(), stop);
    const std::int64_t count = voxels(scan.extent);
    TableMemory<float> planes(operations, queue, std::size_t(count) * std::size_t(engine.planes));
    operations.resample_affine(queue, own.data(), engine.planes, engine.extent, invert(to_scan).m, scan.extent,
                               Interpolation::linear, Border::extend, planes.data(), nullptr);
    operations.interleave(queue, planes.data(), engine.planes, count, channels, features);
  };
  return prior;
}

}  // namespace mmreg
