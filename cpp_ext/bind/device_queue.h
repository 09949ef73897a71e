// A queue of a device that Python owns: its stream and memory persist between calls.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bind/half.h"
#include "bind/interpreter.h"
#include "ops/open.h"

namespace mmreg::bind {

namespace nb = nanobind;

using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Anything = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

// Recorded work of a queue, launched as a whole.
class DeviceGraph {
 public:
  DeviceGraph(const Device* library, void* graph) : library_(library), graph_(graph) {}
  ~DeviceGraph() { library_->release_graph(graph_); }
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;
  void* get() const { return graph_; }

 private:
  const Device* library_;
  void* graph_;
};

class DeviceQueue {
 public:
  DeviceQueue(const std::string& target, std::optional<std::uintptr_t> stream, nb::object stream_owner)
      : stream_owner_(stream_owner),
        target_(target),
        library_(device_library(target)),
        place_(open_place(target, 0, stream ? handle(*stream) : nullptr)),
        number_(device_number(target)) {}
  ~DeviceQueue() {
    Unlocked unlocked;  // the destructor waits for the stream
    place_.queue.reset();
  }

  std::uintptr_t stream() { return reinterpret_cast<std::uintptr_t>(stream_pointer()); }
  int number() const { return number_; }
  const std::string& target() const { return target_; }
  std::uintptr_t allocate(std::size_t bytes) {
    Unlocked unlocked;
    return reinterpret_cast<std::uintptr_t>(place_.context().allocate(bytes));
  }
  void release(std::uintptr_t memory) { place_.context().release(reinterpret_cast<void*>(memory)); }
  void upload(std::uintptr_t to, Anything from) {
    Unlocked unlocked;
    place_.context().upload(reinterpret_cast<void*>(to), from.data(), from.nbytes());
  }
  void download(Bytes to, std::uintptr_t from) {
    Unlocked unlocked;
    place_.context().download(to.data(), reinterpret_cast<const void*>(from), to.nbytes());
  }
  void copy(std::uintptr_t to, std::uintptr_t from, std::size_t bytes) {
    library_->copy(*place_.queue, reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  }
  void wait_for(std::uintptr_t stream) { library_->wait_for(*place_.queue, handle(stream)); }

  // Records the work that `work` submits to the queue.
  std::unique_ptr<DeviceGraph> graph(nb::callable work) {
    library_->begin_graph(*place_.queue);
    try {
      call_python(work);
    } catch (...) {
      library_->drop_graph(*place_.queue);
      throw;
    }
    return std::make_unique<DeviceGraph>(library_, library_->end_graph(*place_.queue));
  }
  void launch(const DeviceGraph& graph) { library_->launch_graph(*place_.queue, graph.get()); }

  // Makes the device current to the calling thread, for libraries that use the current device.
  void enter() { before().push_back(library_->make_current(number_)); }
  void leave() {
    if (before().empty()) throw nb::value_error("this thread did not enter the queue");
    library_->make_current(before().back());
    before().pop_back();
  }

  // Opens another queue on the same stream, with separate memory.
  Place beside() { return {place_.operations, std::unique_ptr<Queue>(library_->open_on(number_, stream_pointer()))}; }

  std::size_t kept_bytes() { return library_->kept_bytes(*place_.queue); }
  int device_of(std::uintptr_t memory) { return library_->device_of(reinterpret_cast<const void*>(memory)); }
  std::size_t peak_bytes() { return library_->peak_bytes(*place_.queue); }
  void trim() {
    Unlocked unlocked;
    place_.context().trim();
  }

  // Returns memory of this queue as an array for the functions of this module.
  nb::object array(std::uintptr_t memory, const std::vector<std::size_t>& shape, nb::handle owner,
                   const std::string& type) {
    using Array = nb::ndarray<nb::array_api, nb::c_contig, nb::device::cuda>;
    return nb::cast(Array(reinterpret_cast<void*>(memory), shape.size(), shape.data(), owner, nullptr, dtype_of(type),
                          nb::device::cuda::value, number_),
                    nb::rv_policy::reference);
  }

  Bytes pinned(std::size_t bytes) {
    struct Owned {
      const Device* library;
      void* memory;
    };
    auto* const owned = new Owned{library_, library_->allocate_pinned(bytes)};
    nb::capsule owner(owned, [](void* p) noexcept {
      auto* const owned = static_cast<Owned*>(p);
      owned->library->release_pinned(owned->memory);
      delete owned;
    });
    return Bytes(owned->memory, {bytes}, owner);
  }

  Place& place() { return place_; }

 private:
  static nb::dlpack::dtype dtype_of(const std::string& name) {
    if (name == "float32") return nb::dtype<float>();
    if (name == "uint8") return nb::dtype<std::uint8_t>();
    if (name != "float16") throw nb::value_error("dtype must be 'float32', 'float16' or 'uint8'");
    return nb::dtype<Half>();
  }

  void* stream_pointer() { return library_->stream_of(*place_.queue); }
  static void* handle(std::uintptr_t stream) {  // 0 and 1 are both the default stream
    return reinterpret_cast<void*>(stream ? stream : std::uintptr_t(1));
  }
  static std::vector<int>& before() {  // previous devices of this thread
    static thread_local std::vector<int> devices;
    return devices;
  }

  nb::object stream_owner_;  // keeps the stream alive
  std::string target_;
  const Device* library_;
  Place place_;
  int number_;
};

}  // namespace mmreg::bind
