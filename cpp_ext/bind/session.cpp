// The binding of the pipeline, for one pair or for a stream of moving scans. Polls the caller's `cancelled` and Ctrl-C
// between steps.
#include "bind/session.h"

#include "cpu/queue.h"
#include "pipeline/stopwatch.h"

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

}  // namespace

SessionArgument::SessionArgument(const ScanArgument& fixed, const std::string& target, int threads, DeviceQueue* device,
                                 bool keeps_track)
    : fixed_(fixed),
      device_(device),
      own_(device ? Place() : open_place(target, threads)),
      context_((device ? device->place() : own_).context()),
      placed_(context_, fixed.scan, is_on_device(fixed, device)),
      session_(context_, *placed_, keeps_track) {}

void SessionArgument::keep_memory() {
  if (!context_.on_device()) static_cast<CpuQueue&>(context_.queue()).keep_memory();
}

ResultView SessionArgument::run(const ScanArgument& moving, const OptionsArgument& argument, bool track) {
  const bool moving_on_device = is_on_device(moving, device_);
  Callbacks callbacks(argument);
  PipelineOptions options = argument.pipeline;
  options.cancelled = [&](Stage stage, double share) { return callbacks.cancelled(stage, share); };
  if (argument.now) options.now = [&] { return callbacks.now(); };
  std::optional<Engine> engine;
  if (argument.engine) engine = argument.engine->engine;
  if (engine && context_.on_device() && !argument.engine->on_device) engine = on_device(context_, *engine);
  if (engine) options.engine = &*engine;
  PipelineResult result;
  {
    Unlocked unlocked;
    const DeviceScan placed(context_, moving.scan, moving_on_device);
    result = session_.run(*placed, options, track);
  }
  callbacks.raise();
  const bool keep = argument.keep_on_device && device_;
  const Stopwatch copying;
  ResultView view =
      view_of(std::move(result), fixed_.scan.extent, moving.scan.extent, options.engine, keep ? device_ : nullptr);
  session_.handed_out(copying.seconds());
  if (!context_.on_device()) view.threads = workers(context_.queue());
  if (keep) context_.trim();  // waits until the results are complete
  return view;
}

void bind_session(nb::module_& m) {
  m.def(
      "register",
      [](const ScanArgument& fixed, const ScanArgument& moving, const OptionsArgument& options) {
        return SessionArgument(fixed, options.target, options.threads, options.device, false)
            .run(moving, options, false);
      },
      "fixed"_a, "moving"_a, "options"_a,
      "Register a moving scan to a fixed scan: alignment, network, deformation, inverse and quality figures.");
  nb::class_<SessionArgument>(m, "Session", "A fixed scan that any number of moving scans are registered to.")
      .def(nb::init<const ScanArgument&, const std::string&, int, DeviceQueue*>(), "fixed"_a, "target"_a = "",
           "threads"_a = 0, "device"_a.none() = nb::none(), nb::keep_alive<1, 5>())
      .def("register", &SessionArgument::run, "moving"_a, "options"_a, "track"_a = false,
           "Register a moving scan as the function of this name does, on the queue of the session. track: start from "
           "the transform of the call before.")
      .def("keep_memory", &SessionArgument::keep_memory, "Keep the memory of a call for the next one.")
      .def("forget", &SessionArgument::forget, "Forget the transform of the last call.");
}

}  // namespace mmreg::bind
