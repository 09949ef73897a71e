// Array types of the bindings, and how an operation is called from Python: checked, allocated, without the GIL.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>

#include "cpu/memory.h"
#include "solver/operations.h"

namespace mmreg::bind {

namespace nb = nanobind;
using namespace nb::literals;

template <class T, int Rank>
using In = nb::ndarray<const T, nb::ndim<Rank>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<nb::numpy, T>;

template <class Array>
Extent extent(const Array& a, int first) {
  return {int(a.shape(first)), int(a.shape(first + 1)), int(a.shape(first + 2))};
}

template <class T>
Out<T> make(std::initializer_list<std::int64_t> shape) {
  std::size_t dims[8], rank = 0, count = 1;
  for (std::int64_t s : shape) dims[rank++] = std::size_t(s), count *= std::size_t(s);
  T* data = static_cast<T*>(allocate_aligned(count * sizeof(T)));
  nb::capsule owner(data, [](void* p) noexcept { std::free(p); });
  return Out<T>(data, rank, dims, owner);
}

using Mask = std::optional<In<std::uint8_t, 3>>;

// An array of the caller's to write into, or none.
template <class T>
using Into = std::optional<nb::ndarray<T, nb::c_contig, nb::device::cpu>>;

const Operations* find_operations(const std::string& target);  // ValueError if this CPU cannot run it
void require(bool ok, const char* message);                    // ValueError

template <class T>
Out<T> make(std::initializer_list<std::int64_t> shape, const Into<T>& out) {
  if (!out) return make<T>(shape);
  bool same = out->ndim() == shape.size();
  for (std::size_t i = 0; same && i < shape.size(); ++i) same = std::int64_t(out->shape(i)) == shape.begin()[i];
  require(same, "out must have the shape of the result");
  return Out<T>(*out);
}

// The table and a queue for one call; the GIL is released while it lives.
class Call {
 public:
  Call(const std::string& target, int threads);
  const Operations* operator->() const { return operations_; }
  Queue& queue() { return *queue_; }

 private:
  const Operations* operations_;
  std::unique_ptr<Queue> queue_;
  nb::gil_scoped_release unlocked_;
};

}  // namespace mmreg::bind
