// A device as Python sees it: what it is, its memory, a stream. The arrays of networks live there.
#include "cuda/device.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>

#include "bind/arrays.h"

namespace mmreg::bind {
namespace {

using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Anything = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

class DeviceQueue {
 public:
  DeviceQueue(const std::string& target, std::uintptr_t stream)
      : library_(device_library(target)), place_(open_place(target, 0, reinterpret_cast<void*>(stream))) {}

  std::uintptr_t stream() { return reinterpret_cast<std::uintptr_t>(library_->stream_of(*place_.queue)); }
  std::uintptr_t allocate(std::size_t bytes) {
    return reinterpret_cast<std::uintptr_t>(place_.operations->allocate(*place_.queue, bytes));
  }
  void release(std::uintptr_t memory) { place_.operations->release(*place_.queue, reinterpret_cast<void*>(memory)); }
  void upload(std::uintptr_t to, Anything from) {
    nb::gil_scoped_release unlocked;
    place_.operations->upload(*place_.queue, reinterpret_cast<void*>(to), from.data(), from.nbytes());
  }
  void download(Bytes to, std::uintptr_t from) {
    nb::gil_scoped_release unlocked;
    place_.operations->download(*place_.queue, to.data(), reinterpret_cast<const void*>(from), to.nbytes());
  }
  void trim() { place_.operations->trim(*place_.queue); }

  // Linear warps and their derivatives, of arrays on the device: (address, shape) each.
  using Shape = std::array<std::int64_t, 4>;
  using There = std::pair<std::uintptr_t, Shape>;

  void warp(There moving, There u, There out, const std::string& border) {
    place_.operations->warp(*place_.queue, floats(moving), int(moving.second[0]), grid(moving), floats(u), grid(u),
                            Interpolation::linear, border_of(border), floats(out), nullptr);
  }
  void warp_slope(There moving, There u, There upstream, There out, const std::string& border) {
    place_.operations->warp_slope(*place_.queue, floats(moving), int(moving.second[0]), grid(moving), floats(u),
                                  grid(u), border_of(border), floats(upstream), floats(out));
  }
  void warp_adjoint(There upstream, There u, There out, const std::string& border) {
    place_.operations->warp_adjoint(*place_.queue, floats(upstream), int(upstream.second[0]), floats(u), grid(u),
                                    border_of(border), grid(out), floats(out));
  }

  Bytes pinned(std::size_t bytes) {
    struct Owned {
      const Device* library;
      void* memory;
    };
    auto* const owned = new Owned{library_, library_->allocate_pinned(bytes)};
    nb::capsule owner(owned, [](void* p) noexcept {
      auto* const held = static_cast<Owned*>(p);
      held->library->release_pinned(held->memory);
      delete held;
    });
    return Bytes(owned->memory, {bytes}, owner);
  }

 private:
  static float* floats(const There& array) { return reinterpret_cast<float*>(array.first); }
  static Extent grid(const There& array) { return {int(array.second[1]), int(array.second[2]), int(array.second[3])}; }

  const Device* library_;
  Place place_;
};

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
      .def("allocate", &DeviceQueue::allocate, "bytes"_a, "Address of device memory.")
      .def("release", &DeviceQueue::release, "memory"_a)
      .def("upload", &DeviceQueue::upload, "to"_a, "array"_a)
      .def("download", &DeviceQueue::download, "into"_a.noconvert(), "memory"_a, "Waits for the queue.")
      .def("warp", &DeviceQueue::warp, "moving"_a, "displacement"_a, "out"_a, "border"_a = "zero",
           "As the function of that name, of (address, shape (C, D, H, W)) float32 on the device; does not wait.")
      .def("warp_slope", &DeviceQueue::warp_slope, "moving"_a, "displacement"_a, "upstream"_a, "out"_a,
           "border"_a = "zero")
      .def("warp_adjoint", &DeviceQueue::warp_adjoint, "upstream"_a, "displacement"_a, "out"_a, "border"_a = "zero")
      .def("trim", &DeviceQueue::trim, "Waits, and frees memory that is kept.")
      .def("pinned", &DeviceQueue::pinned, "bytes"_a, "Host memory that is copied fast, as uint8.");
}

}  // namespace mmreg::bind
