// Devices in Python: their properties, memory and streams.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/unique_ptr.h>

#include "bind/arrays.h"
#include "ops/batch_warp.h"

namespace mmreg::bind {
namespace {

nb::dict facts(const std::string& target) {
  const DeviceFacts f = device_library(target)->facts(device_number(target));
  nb::dict out;
  out["name"] = f.name;
  out["capability"] = f.capability;
  out["driver"] = f.driver;
  out["runtime"] = f.runtime;
  out["free_bytes"] = f.free_bytes;
  out["all_bytes"] = f.all_bytes;
  return out;
}

// Returns the address, shape, device number and type of a device array that supports DLPack.
nb::tuple device_view(nb::ndarray<nb::ro, nb::c_contig> array) {
  require(array.device_type() == nb::device::cuda::value || array.device_type() == nb::device::cuda_managed::value,
          "the array must be on a CUDA device");
  std::vector<std::size_t> shape(array.ndim());
  for (std::size_t k = 0; k < array.ndim(); ++k) shape[k] = array.shape(k);
  const bool is_float32 = array.dtype() == nb::dtype<float>();
  return nb::make_tuple(reinterpret_cast<std::uintptr_t>(array.data()), nb::tuple(nb::cast(shape)), array.device_id(),
                        is_float32 ? "float32" : "another type");
}

void warp(DeviceQueue& queue, std::uintptr_t image, const Shape& image_shape, std::uintptr_t displacement,
          const Shape& displacement_shape, const std::string& border, std::uintptr_t warped, std::uintptr_t workspace) {
  const Border edge = border_of(border);
  const Unlocked unlocked;
  batch_warp(queue.place().context(), reinterpret_cast<const float*>(image), image_shape,
             reinterpret_cast<const float*>(displacement), displacement_shape, edge, reinterpret_cast<float*>(warped),
             reinterpret_cast<float*>(workspace));
}

}  // namespace

void bind_device(nb::module_& m) {
  m.def("why_no_device", &why_no_device, "target"_a, "Return why a device cannot be used; empty if it can.");
  m.def("device_facts", &facts, "target"_a, "Return name, compute capability, CUDA versions and memory of a device.");
  m.def("device_view", &device_view, "array"_a.noconvert(),
        "Return address, shape, device number and type of a device array.");
  nb::class_<DeviceGraph>(m, "DeviceGraph", "Recorded work of a queue, launched as a whole.");
  nb::class_<DeviceQueue>(m, "DeviceQueue", "Memory and a stream of a device, whose work runs in order.")
      .def(nb::init<const std::string&, std::optional<std::uintptr_t>, nb::object>(), "target"_a,
           "stream"_a = nb::none(), "stream_owner"_a = nb::none(),
           "stream: handle of the caller's stream, 0 for the default stream; None creates one. stream_owner is kept "
           "alive as long as the queue.")
      .def_prop_ro("stream", &DeviceQueue::stream)
      .def_prop_ro("peak_bytes", &DeviceQueue::peak_bytes, "Peak number of bytes in use.")
      .def("allocate", &DeviceQueue::allocate, "bytes"_a, "Return the address of new device memory.")
      .def("release", &DeviceQueue::release, "memory"_a)
      .def("upload", &DeviceQueue::upload, "to"_a, "array"_a)
      .def("download", &DeviceQueue::download, "into"_a.noconvert(), "memory"_a, "Copy to the host and wait.")
      .def("array", &DeviceQueue::array, "memory"_a, "shape"_a, "owner"_a = nb::none(), "dtype"_a = "float32",
           nb::sig("def array(self, memory: int, shape: collections.abc.Sequence[int], owner: object | None = None, "
                   "dtype: str = 'float32') -> typing.Any"),
           "Return memory of this queue as an array of float32, float16 or uint8 that keeps its owner alive. Without "
           "an owner, the memory must outlive the array.")
      .def_prop_ro("target", &DeviceQueue::target, "Name of the target.")
      .def_prop_ro("number", &DeviceQueue::number, "Number of the device.")
      .def("copy", &DeviceQueue::copy, "to"_a, "from_"_a, "bytes"_a, "Copy within the device.")
      .def("wait_for", &DeviceQueue::wait_for, "stream"_a, "Make later work wait for the present work of a stream.")
      .def(
          "__enter__",
          [](nb::object self) {
            nb::cast<DeviceQueue&>(self).enter();
            return self;
          },
          "Make the device current to the calling thread.")
      .def("__exit__", [](DeviceQueue& self, nb::args) { self.leave(); })
      .def("graph", &DeviceQueue::graph, "work"_a, nb::keep_alive<0, 1>(),
           "Record the work that work() submits to this queue's stream instead of running it. Launches use the memory "
           "that work() allocated: allocate it from a separate queue that lives as long.")
      .def("launch", &DeviceQueue::launch, "graph"_a)
      .def("warp", &warp, "image"_a, "image_shape"_a, "displacement"_a, "displacement_shape"_a, "border"_a, "warped"_a,
           "workspace"_a = 0,
           "Warp a batch linearly between addresses of float32: image (N, C, ...), displacement (N, dims, ...). In "
           "2-D, workspace has 3 values per pixel of the displacement; 0 allocates it.")
      .def_prop_ro("kept_bytes", &DeviceQueue::kept_bytes, "Released bytes that are cached for later allocations.")
      .def("device_of", &DeviceQueue::device_of, "memory"_a, "Return the device number of an address; -1: the host.")
      .def("trim", &DeviceQueue::trim, "Wait for the queue and free its cached memory.")
      .def("pinned", &DeviceQueue::pinned, "bytes"_a, "Return page-locked host memory as uint8.");
}

}  // namespace mmreg::bind
