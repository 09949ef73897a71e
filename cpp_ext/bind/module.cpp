// Python bindings: argument checks, allocation, release of the GIL, calls. No arithmetic.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <new>

#include "bind/arrays.h"
#include "cpu/processors.h"
#include "ops/coded_error.h"

namespace mmreg::bind {

Call::Call(const Target& target, int threads)
    : own_(std::holds_alternative<std::string>(target) ? open_place(std::get<std::string>(target), threads) : Place{}),
      place_(own_.operations ? &own_ : &std::get<DeviceQueue*>(target)->place()),
      number_(!own_.operations             ? std::get<DeviceQueue*>(target)->number()
              : own_.operations->on_device ? device_number(std::get<std::string>(target))
                                           : -1),
      context_(place_->context()) {}

bool Call::on_device(int device_type, int device_id) const {
  const bool cuda = device_type == nb::device::cuda::value || device_type == nb::device::cuda_managed::value;
  if (context_.on_device() && cuda && device_id == number_) return true;
  Locked locked;
  throw nb::type_error("a CUDA array needs a target on that device; arrays of other devices are not supported");
}

Call::~Call() noexcept(false) {
  struct Released {
    Call& call;
    ~Released() {
      for (const Staged& s : call.staged_) call.context_.release(s.device);
    }
  } const released{*this};
  if (std::uncaught_exceptions() > 0) return;
  for (const Staged& s : staged_)
    if (s.back) context_.download(s.host, s.device, s.bytes);
}

void* Call::stage(void* host, std::size_t bytes, bool upload, bool back) {
  if (!context_.on_device() || !host) return host;
  void* const memory = context_.allocate(bytes);
  staged_.push_back({memory, host, bytes, back});
  if (upload) context_.upload(memory, host, bytes);
  return memory;
}

void require(bool ok, const char* message) {
  if (!ok) throw nb::value_error(message);
}

void bind_device(nb::module_&);
void bind_displacement(nb::module_&);
void bind_sampling(nb::module_&);
void bind_align(nb::module_&);
void bind_filters(nb::module_&);
void bind_samples(nb::module_&);
void bind_search(nb::module_&);
void bind_similarity(nb::module_&);
void bind_refine(nb::module_&);
void bind_engine(nb::module_&);
void bind_options(nb::module_&);
void bind_result(nb::module_&);
void bind_session(nb::module_&);
void bind_plan(nb::module_&);
void bind_deform(nb::module_&);
void bind_facts(nb::module_&);

// Raises the error of the package that has the same code.
static void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const CodedError& error) {
    const nb::object exception = nb::module_::import_("mmreg_rt.errors").attr("device_error")(error.code, error.what());
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  } catch (const std::bad_alloc&) {
    PyErr_SetNone(nb::module_::import_("mmreg_rt.errors").attr("OutOfMemoryError").ptr());
  }
}

}  // namespace mmreg::bind

NB_MODULE(_native, m) {
  using namespace mmreg::bind;
  nanobind::register_exception_translator(translate);
  m.def("targets", &mmreg::targets, "Return the CPU targets that this machine can run, best first.");
  m.def("usable_processors", &mmreg::usable_processors,
        "Return the default number of threads: the processors of this process, limited by the quota of its control "
        "groups.");
  m.def("processor_quota", &mmreg::processor_quota, "membership"_a = "/proc/self/cgroup", "root"_a = "/sys/fs/cgroup",
        "Return the processors granted by control groups; 0 if unlimited.");
  bind_device(m);
  bind_displacement(m);
  bind_sampling(m);
  bind_align(m);
  bind_filters(m);
  bind_samples(m);
  bind_search(m);
  bind_similarity(m);
  bind_refine(m);
  bind_engine(m);
  bind_options(m);
  bind_result(m);
  bind_session(m);
  bind_plan(m);
  bind_deform(m);
  bind_facts(m);
}
