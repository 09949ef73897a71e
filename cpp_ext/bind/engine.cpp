#include "bind/engine.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>

#include <vector>

#include "bind/scans.h"
#include "solver/level.h"

namespace mmreg::bind {
namespace {

using View = nb::ndarray<nb::numpy, const float>;
using Room = nb::ndarray<nb::numpy, float>;

nb::object view(const float* image, Extent n) {
  return nb::cast(View(image, {std::size_t(n.d), std::size_t(n.h), std::size_t(n.w)}, nb::handle()),
                  nb::rv_policy::reference);
}

nb::object room(float* planes, int count, Extent n) {
  return nb::cast(
      Room(planes, {std::size_t(count), std::size_t(n.d), std::size_t(n.h), std::size_t(n.w)}, nb::handle()),
      nb::rv_policy::reference);
}

EngineOutput output_of(const std::string& name) {
  require(name == "displacement" || name == "velocity" || name == "descriptor",
          "output must be displacement, velocity or descriptor");
  return name == "displacement" ? EngineOutput::displacement
         : name == "velocity"   ? EngineOutput::velocity
                                : EngineOutput::descriptor;
}

const float* image_of(nb::handle given, Extent n) {
  const auto image = nb::cast<Image>(given, false);
  const Extent m = extent(image, 0);
  require(m.d == n.d && m.h == n.h && m.w == n.w, "an image of the network must have the shape of its scan");
  return image.data();
}

int at_least(int least, nb::dict d, const char* name) {
  const int value = nb::cast<int>(d[name]);
  require(value >= least, (std::string(name) + " is too small").c_str());
  return value;
}

}  // namespace

Engine engine(nb::dict d, Extent fixed, Extent moving) {
  Engine e;
  e.fixed = image_of(d["fixed"], fixed), e.moving = image_of(d["moving"], moving);
  e.output = output_of(nb::cast<std::string>(d["output"]));
  const auto shape = nb::cast<std::array<int, 3>>(d["shape"]);
  e.extent = {shape[0], shape[1], shape[2]};
  require(shape[0] > 0 && shape[1] > 0 && shape[2] > 0, "shape must be positive");
  e.affine = affine_map(nb::cast<Matrix>(d["affine"]));
  e.dims = at_least(2, d, "dims"), e.factor = at_least(1, d, "factor");
  require(e.dims <= 3, "dims must be 2 or 3");
  e.integration_steps = at_least(0, d, "integration_steps");
  e.planes = at_least(e.output == EngineOutput::descriptor, d, "planes");
  const nb::object run = d["run"];
  const Extent n = e.extent, coarse = extent_of(n, e.field_factor());
  e.field = [run, n, coarse, dims = e.dims](const float* fixed, const float* moving, float* field) {
    nb::gil_scoped_acquire locked;
    run(view(fixed, n), view(moving, n), room(field, dims, coarse));
  };
  e.describe = describer(run, n, e.planes);
  return e;
}

std::function<void(Side, const float*, float*)> describer(nb::object run, Extent n, int planes) {
  return [run, n, planes](Side side, const float* image, float* out) {
    nb::gil_scoped_acquire locked;
    run(side == Side::fixed ? "fixed" : "moving", view(image, n), room(out, planes, n));
  };
}

namespace {

using Describe = std::function<void(Side, const float*, float*)>;
using Predict = std::function<void(const float*, const float*, float*)>;

std::vector<float> brought(const Operations& operations, Queue& queue, const float* from, std::int64_t count) {
  std::vector<float> here(static_cast<std::size_t>(count));
  operations.download(queue, here.data(), from, here.size() * sizeof(float));
  return here;
}

Describe staged(const Operations& operations, Queue& queue, const Describe& describe, std::int64_t count, int planes) {
  return [&operations, &queue, describe, count, planes](Side side, const float* image, float* out) {
    const std::vector<float> seen = brought(operations, queue, image, count);
    std::vector<float> made(seen.size() * std::size_t(planes));
    describe(side, seen.data(), made.data());
    operations.upload(queue, out, made.data(), made.size() * sizeof(float));
  };
}

Predict staged(const Operations& operations, Queue& queue, const Predict& predict, std::int64_t count,
               std::size_t field_size) {
  return [&operations, &queue, predict, count, field_size](const float* fixed, const float* moving, float* out) {
    const std::vector<float> seen_fixed = brought(operations, queue, fixed, count),
                             seen_moving = brought(operations, queue, moving, count);
    std::vector<float> made(field_size);
    predict(seen_fixed.data(), seen_moving.data(), made.data());
    operations.upload(queue, out, made.data(), made.size() * sizeof(float));
  };
}

}  // namespace

PlacedEngine::PlacedEngine(const Operations& operations, Queue& queue, const Engine& on_host, Extent fixed,
                           Extent moving)
    : engine_(on_host) {
  if (!operations.on_device) return;
  fixed_ = TableMemory<float>(operations, queue, std::size_t(voxels(fixed))), fixed_.upload(on_host.fixed);
  moving_ = TableMemory<float>(operations, queue, std::size_t(voxels(moving))), moving_.upload(on_host.moving);
  engine_.fixed = fixed_.data(), engine_.moving = moving_.data();
  const std::int64_t count = voxels(on_host.extent);
  const Extent coarse = extent_of(on_host.extent, on_host.field_factor());
  engine_.field = staged(operations, queue, on_host.field, count, std::size_t(on_host.dims * voxels(coarse)));
  engine_.describe = staged(operations, queue, on_host.describe, count, on_host.planes);
}

}  // namespace mmreg::bind
