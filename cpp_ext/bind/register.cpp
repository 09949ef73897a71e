// The pipeline: two scans in, everything out. The caller's flag and Ctrl-C are looked at between steps.
#include "bind/arrays.h"
#include "bind/options.h"
#include "bind/result.h"
#include "cpu/queue.h"

namespace mmreg::bind {
namespace {

bool lies_on_device(const ScanArgument& scan, const DeviceQueue* device) {
  if (scan.image.device_type() == nb::device::cpu::value) return false;
  require(device && scan.image.device_type() == nb::device::cuda::value && scan.image.device_id() == device->number(),
          "a scan on a device needs a queue of that device");
  return true;
}

// Asks Python, which may raise: what it raised is kept, since this is asked while a network runs, too.
class Questions {
 public:
  explicit Questions(const OptionsArgument& options) : options_(options) {}

  bool cancelled(Stage stage, double share) {
    Locked locked;
    if (!interrupted_ && PyErr_CheckSignals() != 0) interrupted_.emplace();
    return interrupted_ ||
           (options_.cancelled && nb::cast<bool>(called(*options_.cancelled, stage_name(stage), share)));
  }
  double now() {
    Locked locked;
    return nb::cast<double>(called(*options_.now));
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
  const bool fixed_there = lies_on_device(fixed, device), moving_there = lies_on_device(moving, device);
  Questions questions(argument);
  PipelineOptions options = argument.pipeline;
  options.cancelled = [&](Stage stage, double share) { return questions.cancelled(stage, share); };
  if (argument.now) options.now = [&] { return questions.now(); };
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
    const Placed placed_fixed(context, fixed.scan, fixed_there), placed_moving(context, moving.scan, moving_there);
    result = run(context, *placed_fixed, *placed_moving, options);
  }
  questions.raise();
  const bool keep = argument.keep_on_device && device;
  ResultView view =
      view_of(std::move(result), fixed.scan.extent, moving.scan.extent, options.engine, keep ? device : nullptr);
  if (!context.on_device()) view.threads = workers(context.queue());
  if (keep) context.trim();  // waits: what stays is complete
  return view;
}

}  // namespace

void bind_register(nb::module_& m) {
  m.def("register", &register_scans, "fixed"_a, "moving"_a, "options"_a,
        "Register a moving scan to a fixed one: alignment, network, deformation, inverse and figures.");
}

}  // namespace mmreg::bind
