// Memory and a stream of a device, as Python holds them from one call to the next.
#pragma once
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>

#include "bind/arrays.h"
#include "cuda/device.h"

namespace mmreg::bind {

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

  Place& place() { return place_; }

 private:
  static float* floats(const There& array) { return reinterpret_cast<float*>(array.first); }
  static Extent grid(const There& array) { return {int(array.second[1]), int(array.second[2]), int(array.second[3])}; }

  const Device* library_;
  Place place_;
};

}  // namespace mmreg::bind
