// Array types of the bindings, and calls of operations from Python: argument checks, allocation, release of the GIL.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bind/device_queue.h"
#include "bind/interpreter.h"
#include "cpu/memory.h"
#include "ops/operations.h"

namespace mmreg::bind {

namespace nb = nanobind;
using namespace nb::literals;

// Arrays in host memory or on the device of the call (checked by Call).
template <class T, int Rank>
using In = nb::ndarray<const T, nb::ndim<Rank>, nb::c_contig>;
template <class T, int Rank>  // arrays read on the host: matrices and whole scans
using HostIn = nb::ndarray<const T, nb::ndim<Rank>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<nb::numpy, T>;

template <class Array>
Extent extent(const Array& a, int first) {
  return {int(a.shape(first)), int(a.shape(first + 1)), int(a.shape(first + 2))};
}

using Dimensions = std::vector<std::int64_t>;

template <class Array>
bool has_shape(const Array& a, const Dimensions& shape) {
  bool same = a.ndim() == shape.size();
  for (std::size_t i = 0; same && i < shape.size(); ++i) same = std::int64_t(a.shape(i)) == shape[i];
  return same;
}

template <class T>
Out<T> make(const Dimensions& shape) {
  std::size_t dims[8], rank = 0, count = 1;
  for (std::int64_t s : shape) {
    dims[rank++] = std::size_t(s);
    count *= std::size_t(s);
  }
  T* data = static_cast<T*>(allocate_aligned(count * sizeof(T)));
  nb::capsule owner(data, [](void* p) noexcept { std::free(p); });
  return Out<T>(data, rank, dims, owner);
}

using Mask = std::optional<In<std::uint8_t, 3>>;
using HostMask = std::optional<HostIn<std::uint8_t, 3>>;

// An optional output array of the caller.
template <class T>
using Into = std::optional<nb::ndarray<T, nb::c_contig>>;

Border border_of(const std::string& name);   // throws ValueError for an unknown name
void require(bool ok, const char* message);  // throws ValueError unless ok

template <class T>
Out<T> make(const Dimensions& shape, const Into<T>& out) {
  if (!out) return make<T>(shape);
  require(has_shape(*out, shape), "out must have the shape of the result");
  return Out<T>(*out);
}

// Returns `out`, or a new array with the shape of another.
template <class T, class Array>
Out<T> make_like(const Array& a, const Into<T>& out = {}) {
  Dimensions shape(a.ndim());
  for (std::size_t k = 0; k < shape.size(); ++k) shape[k] = std::int64_t(a.shape(k));
  return make<T>(shape, out);
}

// Where a call runs: a named target, on a new queue and synchronously; or a queue owned by Python, after the work
// already on its stream and asynchronously, unless a result is copied to the host.
using Target = std::variant<std::string, DeviceQueue*>;

inline const Half* half(const std::uint16_t* bits) { return reinterpret_cast<const Half*>(bits); }
inline Half* half(std::uint16_t* bits) { return reinterpret_cast<Half*>(bits); }

// The table and a queue for one call; the GIL is released while it lives. Host arrays are copied to the memory of a
// device and back when the call ends.
class Call {
 public:
  Call(const Target& target, int threads);
  ~Call() noexcept(false);
  const Context* operator->() const { return &context_; }
  const Context& context() const { return context_; }

  template <class T>
  const T* in(const T* host, std::size_t count) {
    return static_cast<const T*>(stage(const_cast<T*>(host), count * sizeof(T), true, false));
  }
  template <class T>
  T* out(T* host, std::size_t count) {
    return static_cast<T*>(stage(host, count * sizeof(T), false, true));
  }
  template <class Array>
  auto in(const Array& array) {
    return is_on_device(array) ? array.data() : in(array.data(), array.size());
  }
  template <class Array>
  auto out(const Array& array) {
    return is_on_device(array) ? array.data() : out(array.data(), array.size());
  }
  template <class Array>
  auto in_out(const Array& array) {
    if (is_on_device(array)) return array.data();
    return static_cast<decltype(array.data())>(stage(array.data(), array.size() * sizeof(*array.data()), true, true));
  }
  template <class Array>  // (channels, d, h, w), or (d, h, w)
  Image image(const Array& array) {
    const int first = int(array.ndim()) - 3;
    return {in(array), extent(array, first), first ? int(array.shape(0)) : 1};
  }
  FeatureImage features(const In<std::uint16_t, 4>& array) {
    return {half(in(array)), extent(array, 0), int(array.shape(3))};
  }
  const std::uint8_t* in(const Mask& mask) { return mask ? in(*mask) : nullptr; }
  std::uint8_t* out(const Into<std::uint8_t>& flags) { return flags ? out(*flags) : nullptr; }

 private:
  struct Staged {
    void *device, *host;
    std::size_t bytes;
    bool back;
  };
  void* stage(void* host, std::size_t bytes, bool upload, bool back);  // returns device memory, or `host` on the CPU
  template <class Array>
  bool is_on_device(const Array& array) const {
    return array.device_type() != nb::device::cpu::value && on_device(array.device_type(), array.device_id());
  }
  bool on_device(int device_type, int device_id) const;  // throws nb::type_error for an array of another device

  Place own_;
  const Place* place_;
  int number_;  // of the device; -1 for the CPU
  Context context_;
  std::vector<Staged> staged_;
  Unlocked unlocked_;
};

}  // namespace mmreg::bind
