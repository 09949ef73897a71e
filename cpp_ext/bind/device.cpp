// A device as Python sees it: what it is, its memory, a stream. The arrays of networks live there.
#include "bind/arrays.h"

namespace mmreg::bind {
namespace {

nb::dict facts(const std::string& target) {
  const DeviceFacts f = device_library(target)->facts(device_number(target));
  nb::dict out;
  out["name"] = f.name, out["capability"] = f.capability, out["driver"] = f.driver, out["runtime"] = f.runtime;
  out["free_bytes"] = f.free_bytes, out["all_bytes"] = f.all_bytes;
  return out;
}

}  // namespace

void bind_device(nb::module_& m) {
  m.def("why_no_device", &why_no_device, "target"_a, "Why operations on a device cannot run here; empty if they can.");
  m.def("device_facts", &facts, "target"_a, "Name, compute capability, CUDA versions and memory of a device.");
  nb::class_<DeviceQueue>(m, "DeviceQueue", "Memory and a stream of a device; work on it is done in order.")
      .def(nb::init<const std::string&, std::uintptr_t>(), "target"_a, "stream"_a = 0,
           "stream: the caller's own, as a number; 0 makes one.")
      .def_prop_ro("stream", &DeviceQueue::stream)
      .def_prop_ro("peak_bytes", &DeviceQueue::peak_bytes, "The most memory that was in use at once.")
      .def("allocate", &DeviceQueue::allocate, "bytes"_a, "Address of device memory.")
      .def("release", &DeviceQueue::release, "memory"_a)
      .def("upload", &DeviceQueue::upload, "to"_a, "array"_a)
      .def("download", &DeviceQueue::download, "into"_a.noconvert(), "memory"_a, "Waits for the queue.")
      .def("array", &DeviceQueue::array, "memory"_a, "shape"_a,
           "Memory of this queue as float32 of a shape, for the functions of this module; it must outlive the array.")
      .def("trim", &DeviceQueue::trim, "Waits, and frees memory that is kept.")
      .def("pinned", &DeviceQueue::pinned, "bytes"_a, "Host memory that is copied fast, as uint8.");
}

}  // namespace mmreg::bind
