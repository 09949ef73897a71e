// The part of CUDA's driver interface that is used here, as in cuda.h. It is declared here so that nothing of CUDA is
// linked; the driver is loaded while the program runs.
#pragma once
#include <cstddef>
#include <string>

#include "capi/engines/library.h"

struct CUstream_st;  // as TensorRT names it

namespace mmreg::capi::cuda {

using Status = int;  // 0: success
using Device = int;
using Address = unsigned long long;
using Stream = CUstream_st*;
struct Primary;  // context of a device, which all libraries of the process share

// The driver, and its first device.
class Driver {
 public:
  // The driver is that of `folder` if it has one, else that of the system. Throws a CodedError without a device.
  explicit Driver(const std::string& folder);
  ~Driver();
  Driver(const Driver&) = delete;

  void use() const;  // by the calling thread
  void check(Status, const char* code, const char* action) const;

  Address allocated(std::size_t bytes) const;
  void free(Address address) const { free_(address); }
  Stream stream() const;
  void destroy(Stream stream) const { destroy_stream_(stream); }
  void upload(Address to, const void* from, std::size_t bytes, Stream) const;
  void download(void* to, Address from, std::size_t bytes, Stream) const;
  bool finished(Stream) const;  // throws what a step of the stream reports

 private:
  const Library library_;
  Device device_ = 0;
  Primary* primary_ = nullptr;
  Status (*error_name_)(Status, const char**);
  Status (*release_)(Device);
  Status (*set_current_)(Primary*);
  Status (*allocate_)(Address*, std::size_t);
  Status (*free_)(Address);
  Status (*create_stream_)(Stream*, unsigned);
  Status (*destroy_stream_)(Stream);
  Status (*upload_)(Address, const void*, std::size_t, Stream);
  Status (*download_)(void*, Address, std::size_t, Stream);
  Status (*query_)(Stream);
};

// A stream of the device.
class OwnedStream {
 public:
  explicit OwnedStream(const Driver& driver) : driver_(driver), stream_(driver.stream()) {}
  ~OwnedStream() { driver_.destroy(stream_); }
  OwnedStream(const OwnedStream&) = delete;
  operator Stream() const { return stream_; }

 private:
  const Driver& driver_;
  const Stream stream_;
};

// Memory of the device.
class Memory {
 public:
  Memory(const Driver& driver, std::size_t bytes) : driver_(driver), address_(driver.allocated(bytes)) {}
  ~Memory() { driver_.free(address_); }
  Memory(const Memory&) = delete;
  Address address() const { return address_; }
  void* pointer() const { return reinterpret_cast<void*>(address_); }

 private:
  const Driver& driver_;
  const Address address_;
};

}  // namespace mmreg::capi::cuda
