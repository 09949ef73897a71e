// Memory and a stream of a device, as Python holds them from one call to the next.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "bind/devices.h"

namespace mmreg::bind {

namespace nb = nanobind;

using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Anything = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

class DeviceQueue {
 public:
  DeviceQueue(const std::string& target, std::uintptr_t stream)
      : library_(device_library(target)),
        place_(open_place(target, 0, reinterpret_cast<void*>(stream))),
        number_(device_number(target)) {}

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
  std::size_t peak_bytes() { return library_->peak_bytes(*place_.queue); }
  void trim() { place_.operations->trim(*place_.queue); }

  // Memory of this queue as an array that every function of the module takes.
  nb::object array(std::uintptr_t memory, const std::vector<std::size_t>& shape) {
    using Array = nb::ndarray<nb::array_api, float, nb::c_contig, nb::device::cuda>;
    return nb::cast(Array(reinterpret_cast<void*>(memory), shape.size(), shape.data(), nb::handle(), nullptr,
                          nb::dtype<float>(), nb::device::cuda::value, number_),
                    nb::rv_policy::reference);
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
  const Device* library_;
  Place place_;
  int number_;
};

}  // namespace mmreg::bind
