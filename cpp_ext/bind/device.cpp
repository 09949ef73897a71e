// A device as Python sees it: what it is, its memory, a stream. The arrays of networks live there.
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

// Where an array of a device lies, and its shape; what it is given as must know DLPack.
nb::tuple device_view(nb::ndarray<nb::ro, nb::c_contig> array) {
  require(array.device_type() == nb::device::cuda::value || array.device_type() == nb::device::cuda_managed::value,
          "the array must be one of a CUDA device");
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
  m.def("why_no_device", &why_no_device, "target"_a, "Why operations on a device cannot run here; empty if they can.");
  m.def("device_facts", &facts, "target"_a, "Name, compute capability, CUDA versions and memory of a device.");
  m.def("device_view", &device_view, "array"_a.noconvert(),
        "Address, shape, number of the device, and type of an array of a device.");
  nb::class_<DeviceGraph>(m, "DeviceGraph", "Work of a queue that is launched as one.");
  nb::class_<DeviceQueue>(m, "DeviceQueue", "Memory and a stream of a device; work on it is done in order.")
      .def(nb::init<const std::string&, std::optional<std::uintptr_t>, nb::object>(), "target"_a,
           "stream"_a = nb::none(), "stream_owner"_a = nb::none(),
           "stream: the caller's own, as a number, 0 the default one; None makes one. stream_owner is kept as long.")
      .def_prop_ro("stream", &DeviceQueue::stream)
      .def_prop_ro("peak_bytes", &DeviceQueue::peak_bytes, "The most memory that was in use at once.")
      .def("allocate", &DeviceQueue::allocate, "bytes"_a, "Address of device memory.")
      .def("release", &DeviceQueue::release, "memory"_a)
      .def("upload", &DeviceQueue::upload, "to"_a, "array"_a)
      .def("download", &DeviceQueue::download, "into"_a.noconvert(), "memory"_a, "Waits for the queue.")
      .def(
          "array", &DeviceQueue::array, "memory"_a, "shape"_a, "owner"_a = nb::none(), "dtype"_a = "float32",
          nb::sig("def array(self, memory: int, shape: collections.abc.Sequence[int], owner: object | None = None, "
                  "dtype: str = 'float32') -> typing.Any"),
          "Memory of this queue as float32, float16 or uint8 of a shape, which lives as long as its owner; without one "
          "it must outlive the array.")
      .def_prop_ro("target", &DeviceQueue::target, "As it was made with.")
      .def_prop_ro("number", &DeviceQueue::number, "Of its device.")
      .def("copy", &DeviceQueue::copy, "to"_a, "from_"_a, "bytes"_a, "Within the device.")
      .def("wait_for", &DeviceQueue::wait_for, "stream"_a, "What follows waits for what is on that stream now.")
      .def(
          "__enter__",
          [](nb::object self) {
            nb::cast<DeviceQueue&>(self).enter();
            return self;
          },
          "Its device is that of the calling thread meanwhile.")
      .def("__exit__", [](DeviceQueue& self, nb::args) { self.leave(); })
      .def("graph", &DeviceQueue::graph, "work"_a, nb::keep_alive<0, 1>(),
           "What work() puts on this queue's stream, kept in place of done. It goes on using what memory work() took: "
           "from a queue of its own, which lives as long.")
      .def("launch", &DeviceQueue::launch, "graph"_a)
      .def("warp", &warp, "image"_a, "image_shape"_a, "displacement"_a, "displacement_shape"_a, "border"_a, "warped"_a,
           "workspace"_a = 0,
           "A batch of linear warps between addresses of float32: image (N, C, ...), displacement (N, dims, ...). In "
           "the "
           "plane the workspace, if one is given, has 3 values a pixel of the displacement; else memory is taken.")
      .def_prop_ro("kept_bytes", &DeviceQueue::kept_bytes, "For the next to allocate.")
      .def("device_of", &DeviceQueue::device_of, "memory"_a, "The number of the device of an address; -1: the host's.")
      .def("trim", &DeviceQueue::trim, "Waits, and frees memory that is kept.")
      .def("pinned", &DeviceQueue::pinned, "bytes"_a, "Host memory that is copied fast, as uint8.");
}

}  // namespace mmreg::bind
