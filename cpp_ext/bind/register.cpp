// The binding of the pipeline. Polls the caller's `cancelled` and Ctrl-C between steps.
#include "bind/arrays.h"
#include "bind/options.h"
#include "bind/result.h"
#include "cpu/queue.h"

namespace mmreg::bind {
namespace {

bool is_on_device(const ScanArgument& scan, const DeviceQueue* device) {
  if (scan.image.device_type() == nb::device::cpu::value) return false;
  require(device && scan.image.device_type() == nb::device::cuda::value && scan.image.device_id() == device->number(),
          "a scan on a device needs a queue of that device");
  return true;
}

// Calls back into Python. An interrupt is stored and raised later, since callbacks also occur while a network runs.
class Callbacks {
 public:
  explicit Callbacks(const OptionsArgument& options) : options_(options) {}

  bool cancelled(Stage stage, double share) {
    Locked locked;
    if (!interrupted_ && PyErr_CheckSignals() != 0) interrupted_.emplace();
    return interrupted_ ||
           (options_.cancelled && nb::cast<bool>(call_python(*options_.cancelled, stage_name(stage), share)));
  }
  double now() {
    Locked locked;
    return nb::cast<double>(call_python(*options_.now));
  }
  void raise() const {
    if (interrupted_) throw nb::python_error(*interrupted_);
  }

 private:
  const OptionsArgument& options_;
  std::optional<nb::python_error> interrupted_;
};

ResultView register_scans(const ScanArgument& fixed, const ScanArgument& moving, const OptionsArgument& argument) {
  DeviceQueue* const device = argument.device;
  const bool fixed_on_device = is_on_device(fixed, device), moving_on_device = is_on_device(moving, device);
  Callbacks callbacks(argument);
  PipelineOptions options = argument.pipeline;
  options.cancelled = [&](Stage stage, double share) { return callbacks.cancelled(stage, share); };
  if (argument.now) options.now = [&] { return callbacks.now(); };
  Place own;
  if (!device) own = open_place(argument.target, argument.threads);
  const Context context = (device ? device->place() : own).context();
  std::optional<Engine> engine;
  if (argument.engine) engine = argument.engine->engine;
  if (engine && context.on_device() && !argument.engine->on_device) engine = on_device(context, *engine);
  if (engine) options.engine = &*engine;
  PipelineResult result;
  {
    Unlocked unlocked;
    const DeviceScan f(context, fixed.scan, fixed_on_device), m(context, moving.scan, moving_on_device);
    result = run(context, *f, *m, options);
  }
  callbacks.raise();
  const bool keep = argument.keep_on_device && device;
  ResultView view =
      view_of(std::move(result), fixed.scan.extent, moving.scan.extent, options.engine, keep ? device : nullptr);
  if (!context.on_device()) view.threads = workers(context.queue());
  if (keep) context.trim();  // waits until the results are complete
  return view;
}

}  // namespace

void bind_register(nb::module_& m) {
  m.def("register", &register_scans, "fixed"_a, "moving"_a, "options"_a,
        "Register a moving scan to a fixed scan: alignment, network, deformation, inverse and quality figures.");
}

}  // namespace mmreg::bind
