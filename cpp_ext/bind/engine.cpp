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
using Writable = nb::ndarray<nb::numpy, float>;

// Returns the argument of `run` for an image or for planes to fill: an array, or (address, shape) on a device.
nb::object readable(const float* image, std::initializer_list<std::size_t> shape, bool on_device) {
  if (on_device) return nb::make_tuple(reinterpret_cast<std::uintptr_t>(image), std::vector<std::size_t>(shape));
  return nb::cast(View(image, shape, nb::handle()), nb::rv_policy::reference);
}

nb::object writable(float* planes, int count, Extent n, bool on_device) {
  const std::initializer_list<std::size_t> shape = {std::size_t(count), std::size_t(n.d), std::size_t(n.h),
                                                    std::size_t(n.w)};
  if (on_device) return readable(planes, shape, true);
  return nb::cast(Writable(planes, shape, nb::handle()), nb::rv_policy::reference);
}

nb::object view(const float* image, Extent n, bool on_device) {
  return readable(image, {std::size_t(n.d), std::size_t(n.h), std::size_t(n.w)}, on_device);
}

EngineOutput output_of(const std::string& name) {
  if (name == "displacement") return EngineOutput::displacement;
  if (name == "velocity") return EngineOutput::velocity;
  if (name == "rigid") return EngineOutput::rigid;
  require(name == "descriptor", "output must be displacement, velocity, descriptor or rigid");
  return EngineOutput::descriptor;
}

// Exposes `stop` to Python, which may keep the function for longer than `stop` lives.
class StopCallback {
 public:
  explicit StopCallback(const Stop& stop) : stop_(std::make_shared<const Stop*>(&stop)) {}
  ~StopCallback() { *stop_ = nullptr; }
  StopCallback(const StopCallback&) = delete;
  StopCallback& operator=(const StopCallback&) = delete;

  nb::object function() const {
    return nb::cpp_function([stop = stop_] { return !*stop || (**stop)(); });
  }

 private:
  const std::shared_ptr<const Stop*> stop_;
};

template <class... Arguments>
void call_run(const nb::object& run, const Stop& stop, const Arguments&... arguments) {
  if (!stop) return void(call_python(run, arguments...));
  const StopCallback callback(stop);
  if (call_python(run, arguments..., callback.function()).is(nb::bool_(true))) throw Abandoned();
}

}  // namespace

void EngineSpec::set_run(nb::object function, bool arrays_on_device) {
  run = function;
  on_device = arrays_on_device;
  const Extent n = engine.extent, coarse = extent_of(n, engine.field_factor());
  engine.field = [function, n, coarse, device = on_device, dims = engine.dims](const float* fixed, const float* moving,
                                                                               float* field, const Stop& stop) {
    Locked locked;
    call_run(function, stop, view(fixed, n, device), view(moving, n, device), writable(field, dims, coarse, device));
  };
  engine.describe = describer(function, n, engine.planes, on_device);
  engine.motion = [function, n](int stage, const float* fixed, const float* moving, double numbers[6],
                                const Stop& stop) {
    Locked locked;
    const nb::ndarray<nb::numpy, double> six(numbers, {6}, nb::handle());
    call_run(function, stop, stage, view(fixed, n, false), view(moving, n, false),
             nb::cast(six, nb::rv_policy::reference));
  };
}

std::function<void(Side, const float*, float*, const Stop&)> describer(nb::object run, Extent n, int planes,
                                                                       bool on_device) {
  return [run, n, planes, on_device](Side side, const float* image, float* out, const Stop& stop) {
    Locked locked;
    call_run(run, stop, side == Side::fixed ? "fixed" : "moving", view(image, n, on_device),
             writable(out, planes, n, on_device));
  };
}

namespace {

using Describe = std::function<void(Side, const float*, float*, const Stop&)>;
using Predict = std::function<void(const float*, const float*, float*, const Stop&)>;

std::vector<float> downloaded(const Context& context, const float* from, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  context.download(values.data(), from, values.size() * sizeof(float));
  return values;
}

Describe staged(const Context& context, const Describe& describe, std::int64_t count, int planes) {
  return [context, describe, count, planes](Side side, const float* image, float* out, const Stop& stop) {
    const std::vector<float> host_image = downloaded(context, image, count);
    std::vector<float> features(host_image.size() * std::size_t(planes));
    describe(side, host_image.data(), features.data(), stop);
    context.upload(out, features.data(), features.size() * sizeof(float));
  };
}

Predict staged(const Context& context, const Predict& predict, std::int64_t count, std::size_t field_size) {
  return [context, predict, count, field_size](const float* fixed, const float* moving, float* out, const Stop& stop) {
    const std::vector<float> host_fixed = downloaded(context, fixed, count),
                             host_moving = downloaded(context, moving, count);
    std::vector<float> field(field_size);
    predict(host_fixed.data(), host_moving.data(), field.data(), stop);
    context.upload(out, field.data(), field.size() * sizeof(float));
  };
}

}  // namespace

Engine on_device(const Context& context, const Engine& engine) {
  Engine result = engine;
  const std::int64_t count = voxels(engine.extent);
  const Extent coarse = extent_of(engine.extent, engine.field_factor());
  result.field = staged(context, engine.field, count, std::size_t(engine.dims * voxels(coarse)));
  result.describe = staged(context, engine.describe, count, engine.planes);
  return result;
}

namespace {

using Intensities = std::tuple<std::string, double, double>;

void make_spec(EngineSpec* self, const std::string& output, const std::array<int, 3>& shape, const Matrix& affine,
               const Intensities& intensities, nb::object run, int dims, int factor, int integration_steps, int planes,
               std::vector<double> expected_s, bool on_device) {
  EngineSpec spec;
  Engine& e = spec.engine;
  e.output = output_of(output);
  require(shape[0] > 0 && shape[1] > 0 && shape[2] > 0, "shape must be positive");
  e.extent = {shape[0], shape[1], shape[2]};
  e.affine = affine_map(affine);
  e.intensities = normalisation_of(std::get<0>(intensities), std::get<1>(intensities), std::get<2>(intensities));
  require(dims == 2 || dims == 3, "dims must be 2 or 3");
  require(factor >= 1, "factor must be at least 1");
  require(integration_steps >= 0, "integration_steps must not be negative");
  require(planes >= (e.output == EngineOutput::descriptor), "planes must be positive for a descriptor, else 0 or more");
  require(!expected_s.empty(), "expected_s must have a number for each stage");
  require(!on_device || e.output != EngineOutput::rigid, "on_device is not supported for rigid networks");
  e.dims = dims;
  e.factor = factor;
  e.integration_steps = integration_steps;
  e.planes = planes;
  e.expected_s = std::move(expected_s);
  spec.set_run(run, on_device);
  new (self) EngineSpec(std::move(spec));
}

}  // namespace

void bind_engine(nb::module_& m) {
  nb::class_<EngineSpec>(m, "EngineSpec", "A network for the pipeline: its input grid, output and function.")
      .def("__init__", &make_spec, nb::kw_only(), "output"_a, "shape"_a, "affine"_a, "intensities"_a, "run"_a,
           "dims"_a = 3, "factor"_a = 1, "integration_steps"_a = 0, "planes"_a = 0,
           "expected_s"_a = std::vector<double>{0.0}, "on_device"_a = false,
           "output: displacement, velocity, descriptor or rigid. shape, affine: grid of the network's inputs. "
           "intensities: (percentile, window or minmax, low, high). factor: voxels of that grid per voxel of the "
           "field. planes: number of channels of a descriptor. expected_s: expected duration of a run, in s, one "
           "number per stage of a rigid cascade; 0 if unknown. run(fixed, moving, field), run(side, image, planes) or "
           "run(stage, fixed, moving, numbers) fills its last array; stop() -> bool is appended to its arguments if it "
           "may be stopped. on_device: arrays are (address, shape) in device memory.")
      .def_prop_ro("shape",
                   [](const EngineSpec& self) {
                     return std::array<int, 3>{self.engine.extent.d, self.engine.extent.h, self.engine.extent.w};
                   })
      .def(
          "with_run",
          [](const EngineSpec& self, nb::object run, bool on_device) {
            EngineSpec other = self;
            other.set_run(run, on_device);
            return other;
          },
          "run"_a, "on_device"_a, "Return a copy of the engine that another function runs.");
}

}  // namespace mmreg::bind
