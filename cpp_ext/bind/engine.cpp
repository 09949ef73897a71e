#include "bind/engine.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>

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

}  // namespace mmreg::bind
