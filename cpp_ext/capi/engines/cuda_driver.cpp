#include "capi/engines/cuda_driver.h"

#include "capi/guard.h"

namespace mmreg::capi::cuda {
namespace {

constexpr Status kNotReady = 600;
constexpr unsigned kNonBlocking = 1;  // the stream does not wait for the default one
constexpr char kName[] = "libcuda.so", kSystem[] = "libcuda.so.1";

}  // namespace

Driver::Driver(const std::string& folder)
    : library_(Library::is_in(folder, kName) ? Library(folder, kName) : Library::of_system(kSystem)) {
  Status (*initialise)(unsigned) = nullptr;
  Status (*get_device)(Device*, int) = nullptr;
  Status (*retain)(Primary**, Device) = nullptr;
  library_.find(initialise, "cuInit");
  library_.find(get_device, "cuDeviceGet");
  library_.find(retain, "cuDevicePrimaryCtxRetain");
  library_.find(release_, "cuDevicePrimaryCtxRelease_v2");
  library_.find(error_name_, "cuGetErrorName");
  library_.find(set_current_, "cuCtxSetCurrent");
  library_.find(allocate_, "cuMemAlloc_v2");
  library_.find(free_, "cuMemFree_v2");
  library_.find(create_stream_, "cuStreamCreate");
  library_.find(destroy_stream_, "cuStreamDestroy_v2");
  library_.find(upload_, "cuMemcpyHtoDAsync_v2");
  library_.find(download_, "cuMemcpyDtoHAsync_v2");
  library_.find(query_, "cuStreamQuery");
  check(initialise(0), "MMREG_E_DEVICE", "start");
  check(get_device(&device_, 0), "MMREG_E_DEVICE", "find a device");
  check(retain(&primary_, device_), "MMREG_E_DEVICE", "open the device");
}

Driver::~Driver() { release_(device_); }

void Driver::use() const { check(set_current_(primary_), "MMREG_E_DEVICE", "use the device"); }

void Driver::check(Status status, const char* code, const char* action) const {
  if (status == 0) return;
  const char* name = nullptr;
  error_name_(status, &name);
  refuse(code, "CUDA could not %s: %.80s (%d). Check the GPU and its driver.", action, name ? name : "unknown error",
         status);
}

Address Driver::allocated(std::size_t bytes) const {
  Address address = 0;
  check(allocate_(&address, bytes), "MMREG_E_DEVICE_MEMORY", "allocate memory");
  return address;
}

Stream Driver::stream() const {
  Stream stream = nullptr;
  check(create_stream_(&stream, kNonBlocking), "MMREG_E_DEVICE", "create a stream");
  return stream;
}

void Driver::upload(Address to, const void* from, std::size_t bytes, Stream stream) const {
  check(upload_(to, from, bytes, stream), "MMREG_E_ENGINE_RUN", "copy an image to the device");
}

void Driver::download(void* to, Address from, std::size_t bytes, Stream stream) const {
  check(download_(to, from, bytes, stream), "MMREG_E_ENGINE_RUN", "copy the output from the device");
}

bool Driver::finished(Stream stream) const {
  const Status status = query_(stream);
  if (status == kNotReady) return false;
  check(status, "MMREG_E_ENGINE_RUN", "run the network");
  return true;
}

}  // namespace mmreg::capi::cuda
