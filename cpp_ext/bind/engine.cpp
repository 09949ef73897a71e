#include "bind/engine.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <vector>

#include "bind/filters.h"
#include "bind/scans.h"
#include "ops/interruption.h"
#include "solver/deform/level.h"

namespace mmreg::bind {
namespace {

using View = nb::ndarray<nb::numpy, const float>;
using Room = nb::ndarray<nb::numpy, float>;

// What `run` gets of an image or of planes to fill: an array; of a device, its address and shape.
nb::object given(const float* image, std::initializer_list<std::size_t> shape, bool there) {
  if (there) return nb::make_tuple(reinterpret_cast<std::uintptr_t>(image), std::vector<std::size_t>(shape));
  return nb::cast(View(image, shape, nb::handle()), nb::rv_policy::reference);
}

nb::object room(float* planes, int count, Extent n, bool there) {
  const std::initializer_list<std::size_t> shape = {std::size_t(count), std::size_t(n.d), std::size_t(n.h),
                                                    std::size_t(n.w)};
  if (there) return given(planes, shape, true);
  return nb::cast(Room(planes, shape, nb::handle()), nb::rv_policy::reference);
}

nb::object view(const float* image, Extent n, bool there) {
  return given(image, {std::size_t(n.d), std::size_t(n.h), std::size_t(n.w)}, there);
}

EngineOutput output_of(const std::string& name) {
  require(name == "displacement" || name == "velocity" || name == "descriptor",
          "output must be displacement, velocity or descriptor");
  return name == "displacement" ? EngineOutput::displacement
         : name == "velocity"   ? EngineOutput::velocity
                                : EngineOutput::descriptor;
}

// `stop` as Python asks it. It may be kept there for longer than what it asks lives.
class Asked {
 public:
  explicit Asked(const Stop& stop) : stop_(std::make_shared<const Stop*>(&stop)) {}
  ~Asked() { *stop_ = nullptr; }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;

  nb::object function() const {
    return nb::cpp_function([stop = stop_] { return !*stop || (**stop)(); });
  }

 private:
  const std::shared_ptr<const Stop*> stop_;
};

template <class... Arguments>
void run_it(const nb::object& run, const Stop& stop, const Arguments&... arguments) {
  if (!stop) return void(called(run, arguments...));
  const Asked asked(stop);
  if (called(run, arguments..., asked.function()).is(nb::bool_(true))) throw Abandoned();
}

int at_least(int least, nb::dict d, const char* name) {
  const int value = nb::cast<int>(d[name]);
  require(value >= least, (std::string(name) + " is too small").c_str());
  return value;
}

}  // namespace

Engine engine(nb::dict d) {
  Engine e;
  const auto [kind, low, high] = nb::cast<std::tuple<std::string, double, double>>(d["intensities"]);
  e.intensities = stretch_of(kind, low, high);
  e.output = output_of(nb::cast<std::string>(d["output"]));
  const auto shape = nb::cast<std::array<int, 3>>(d["shape"]);
  e.extent = {shape[0], shape[1], shape[2]};
  require(shape[0] > 0 && shape[1] > 0 && shape[2] > 0, "shape must be positive");
  e.affine = affine_map(nb::cast<Matrix>(d["affine"]));
  e.dims = at_least(2, d, "dims"), e.factor = at_least(1, d, "factor");
  require(e.dims <= 3, "dims must be 2 or 3");
  e.integration_steps = at_least(0, d, "integration_steps");
  e.planes = at_least(e.output == EngineOutput::descriptor, d, "planes");
  if (d.contains("expected_s")) e.expected_s = nb::cast<double>(d["expected_s"]);
  const nb::object run = d["run"];
  const Extent n = e.extent, coarse = extent_of(n, e.field_factor());
  const bool there = is_there(d);
  e.field = [run, n, coarse, there, dims = e.dims](const float* fixed, const float* moving, float* field,
                                                   const Stop& stop) {
    Locked locked;
    run_it(run, stop, view(fixed, n, there), view(moving, n, there), room(field, dims, coarse, there));
  };
  e.describe = describer(run, n, e.planes, there);
  return e;
}

bool is_there(nb::dict d) { return nb::cast<bool>(d["there"]); }

std::function<void(Side, const float*, float*, const Stop&)> describer(nb::object run, Extent n, int planes,
                                                                       bool there) {
  return [run, n, planes, there](Side side, const float* image, float* out, const Stop& stop) {
    Locked locked;
    run_it(run, stop, side == Side::fixed ? "fixed" : "moving", view(image, n, there), room(out, planes, n, there));
  };
}

namespace {

using Describe = std::function<void(Side, const float*, float*, const Stop&)>;
using Predict = std::function<void(const float*, const float*, float*, const Stop&)>;

std::vector<float> brought(const Context& context, const float* from, std::int64_t count) {
  std::vector<float> here(static_cast<std::size_t>(count));
  context.download(here.data(), from, here.size() * sizeof(float));
  return here;
}

Describe staged(const Context& context, const Describe& describe, std::int64_t count, int planes) {
  return [context, describe, count, planes](Side side, const float* image, float* out, const Stop& stop) {
    const std::vector<float> seen = brought(context, image, count);
    std::vector<float> made(seen.size() * std::size_t(planes));
    describe(side, seen.data(), made.data(), stop);
    context.upload(out, made.data(), made.size() * sizeof(float));
  };
}

Predict staged(const Context& context, const Predict& predict, std::int64_t count, std::size_t field_size) {
  return [context, predict, count, field_size](const float* fixed, const float* moving, float* out, const Stop& stop) {
    const std::vector<float> seen_fixed = brought(context, fixed, count), seen_moving = brought(context, moving, count);
    std::vector<float> made(field_size);
    predict(seen_fixed.data(), seen_moving.data(), made.data(), stop);
    context.upload(out, made.data(), made.size() * sizeof(float));
  };
}

}  // namespace

Engine placed(const Context& context, const Engine& engine) {
  Engine made = engine;
  const std::int64_t count = voxels(engine.extent);
  const Extent coarse = extent_of(engine.extent, engine.field_factor());
  made.field = staged(context, engine.field, count, std::size_t(engine.dims * voxels(coarse)));
  made.describe = staged(context, engine.describe, count, engine.planes);
  return made;
}

}  // namespace mmreg::bind
