#if defined(__CUDACC__)  // the host build uses queue_on_host.cpp
#include <atomic>
#include <cstdio>
#include <string>

#include "cuda/launch.h"
#include "cuda/queue.h"
#include "ops/coded_error.h"
#include "ops/device.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

std::string megabytes(std::size_t bytes) { return std::to_string(bytes >> 20) + " MB"; }

const char* code_of(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "MMREG_E_DEVICE_MEMORY";
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorInvalidDevice:
    case cudaErrorInitializationError:
    case cudaErrorSystemDriverMismatch:
      return "MMREG_E_DEVICE";
    case cudaErrorInvalidResourceHandle:
    case cudaErrorContextIsDestroyed:
      return "MMREG_E_DEVICE_STREAM";
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureMerge:
    case cudaErrorStreamCaptureUnmatched:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorStreamCaptureWrongThread:
    case cudaErrorCapturedEvent:
      return "MMREG_E_DEVICE_GRAPH";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      return "MMREG_E_DEVICE_CODE";
    default:
      return "MMREG_E_DEVICE_LOST";
  }
}

}  // namespace

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // clears the error, unless it is sticky
  throw CodedError(code_of(error),
                   std::string(what) + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")");
}

namespace {

void* allocate_on_device(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes ? bytes : 1);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t left = 0, all = 0;
    cudaMemGetInfo(&left, &all);
    throw CodedError("MMREG_E_DEVICE_MEMORY", megabytes(bytes) + " of device memory were requested, and " +
                                                  megabytes(left) + " of " + megabytes(all) + " are free");
  }
  check(error, "allocating device memory");
  return memory;
}

void free_on_device(void* memory) {
  cudaFree(memory);
  cudaGetLastError();  // may be an error of an earlier kernel, which must not be reported by later calls
}

constexpr Heap kDeviceHeap = {allocate_on_device, free_on_device, true};

// The current device belongs to a thread: the work of a queue runs on the queue's device, and the caller's device is
// then restored. If they are equal nothing is set, since that would replace the caller's own context.
int enter(int device) {
  int before = 0;
  check(cudaGetDevice(&before), "querying the device");
  if (before != device) check(cudaSetDevice(device), ("setting device " + std::to_string(device)).c_str());
  return before;
}

void leave(int device, int before) {
  if (before != device) cudaSetDevice(before);
}

class OnDevice {
 public:
  explicit OnDevice(int device) : device_(device), before_(enter(device)) {}
  ~OnDevice() { leave(device_, before_); }

 private:
  const int device_, before_;
};

struct CudaQueue : Queue {
  CudaQueue(int device_, cudaStream_t stream_, bool own_) : device(device_), stream(stream_), own(own_) {}
  ~CudaQueue() override {
    const OnDevice on(device);
    if (own)
      cudaStreamSynchronize(stream);  // memory may still be in use
    else if (pool.used_bytes() + pool.kept_bytes())
      cudaDeviceSynchronize();  // the caller may have destroyed its stream
    if (own) cudaStreamDestroy(stream);
    pool.clear();
    cudaGetLastError();
  }

  const int device;
  const cudaStream_t stream;
  const bool own;
  MemoryPool pool{kDeviceHeap};
  std::atomic<bool> in_graph{false};  // a graph has recorded addresses of the pool
};

CudaQueue& cuda(Queue& queue) { return static_cast<CudaQueue&>(queue); }

bool is_recording(Queue& queue) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(cuda(queue).stream, &status), "querying the capture status");
  return status != cudaStreamCaptureStatusNone;
}

void refuse_in_graph(Queue& queue, const char* what) {
  if (is_recording(queue)) throw CodedError("MMREG_E_DEVICE_GRAPH", std::string(what) + " cannot be part of a graph");
}

}  // namespace

Launch::Launch(Queue& queue)
    : stream(cuda(queue).stream), device_(cuda(queue).device), before_(enter(cuda(queue).device)) {}
Launch::~Launch() { leave(device_, before_); }
void Launch::check(const char* what) const { mmreg::MMREG_TARGET::check(cudaGetLastError(), what); }

Queue* open(int) {
  int device = 0;
  check(cudaGetDevice(&device), "querying the device");
  return open_on(device, nullptr);
}

Queue* open_on(int device, void* stream) {
  const OnDevice on(device);
  if (stream) return new CudaQueue(device, static_cast<cudaStream_t>(stream), false);
  cudaStream_t own = nullptr;
  check(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking), "creating a stream");
  return new CudaQueue(device, own, true);
}

void* take(Queue& queue, std::size_t bytes) {
  CudaQueue& own = cuda(queue);
  const OnDevice on(own.device);
  if (is_recording(queue)) own.in_graph = true;
  try {
    return own.pool.take(bytes);
  } catch (const CodedError&) {  // the cached blocks may be too small for this request
    if (own.in_graph) throw;
    trim(queue);
    return own.pool.take(bytes);
  }
}

void give_back(Queue& queue, void* memory) { cuda(queue).pool.give_back(memory); }

void* allocate(Queue& queue, std::size_t bytes) { return take(queue, bytes); }
void release(Queue& queue, void* memory) { give_back(queue, memory); }

void trim(Queue& queue) {
  refuse_in_graph(queue, "a change of memory");
  const OnDevice on(cuda(queue).device);
  check(cudaStreamSynchronize(cuda(queue).stream), "waiting for the device");
  if (!cuda(queue).in_graph) cuda(queue).pool.trim();
}

void upload(Queue& queue, void* to, const void* from, std::size_t bytes) {
  refuse_in_graph(queue, "a copy from the host");  // host memory may be gone when the graph is launched
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, cuda(queue).stream), "copying to the device");
}

void download(Queue& queue, void* to, const void* from, std::size_t bytes) {
  refuse_in_graph(queue, "a copy to the host");
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, cuda(queue).stream), "copying from the device");
  check(cudaStreamSynchronize(cuda(queue).stream), "waiting for the device");
}

void* stream_of(Queue& queue) { return cuda(queue).stream; }
std::size_t peak_bytes(Queue& queue) { return cuda(queue).pool.most_used_bytes(); }
std::size_t kept_bytes(Queue& queue) { return cuda(queue).pool.kept_bytes(); }

int device_of(const void* memory) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, memory) != cudaSuccess) cudaGetLastError();
  const bool on_a_device = attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
  return on_a_device ? attributes.device : -1;
}

DeviceFacts facts(int device) {
  const OnDevice on(device);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), ("querying device " + std::to_string(device)).c_str());
  DeviceFacts facts{};
  std::snprintf(facts.name, sizeof facts.name, "%s", properties.name);
  facts.capability = 10 * properties.major + properties.minor;
  check(cudaDriverGetVersion(&facts.driver), "querying the driver version");
  check(cudaRuntimeGetVersion(&facts.runtime), "querying the runtime version");
  check(cudaMemGetInfo(&facts.free_bytes, &facts.all_bytes), "querying the free memory");
  return facts;
}

void* allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, bytes ? bytes : 1, cudaHostAllocPortable),
        ("allocating " + megabytes(bytes) + " of pinned memory").c_str());
  return memory;
}

void release_pinned(void* memory) { cudaFreeHost(memory); }

int make_current(int device) { return enter(device); }

const char* why_no_device() {
  static thread_local std::string reason;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return nullptr;
  reason = error == cudaSuccess ? "no CUDA device is present" : cudaGetErrorString(error);
  cudaGetLastError();
  return reason.c_str();
}

}  // namespace mmreg::MMREG_TARGET

#endif
