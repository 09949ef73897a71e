// A stand-in for TensorRT and for the CUDA driver, in one library: a device of host memory whose addresses cannot be
// read by the host, and an engine file that a test controls.
#include <NvInferRuntime.h>

#include <cstring>
#include <limits>
#include <map>
#include <string>

#include "tests/stand_in/stand_in.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

struct CUstream_st {};

namespace {

using mmreg::test::StandIn;
using namespace nvinfer1;
using Address = unsigned long long;

StandIn state;
constexpr Address kOfDevice = Address(1) << 62;  // added to the addresses of its memory
constexpr int kInvalidContext = 201, kOutOfMemory = 2, kNotReady = 600;
int primary;
thread_local const void* current = nullptr;

float* memory_of(Address address) { return reinterpret_cast<float*>(address - kOfDevice); }
bool usable() { return current == &primary; }

class Context final : public IExecutionContext {
 public:
  explicit Context(ILogger& log) : log_(log) { ++state.requests; }
  ~Context() noexcept override { --state.requests; }
  bool setTensorAddress(const char* name, void* data) noexcept override {
    tensors_[name] = memory_of(reinterpret_cast<Address>(data));
    return true;
  }
  bool enqueueV3(cudaStream_t) noexcept override {
    ++state.runs;
    if (!usable() || state.behaviour == StandIn::failing) {
      log_.log(ILogger::Severity::kERROR, "the stand-in fails on request\nhere");
      return false;
    }
    constexpr std::size_t kCount = 40 * 40;
    for (std::size_t i = 0; i < kCount; ++i) {
      tensors_["output"][i] = mmreg::test::along_h(tensors_["fixed"][i]);
      tensors_["output"][kCount + i] = mmreg::test::along_w(tensors_["moving"][i]);
    }
    if (state.behaviour == StandIn::not_finite) tensors_["output"][7] = std::numeric_limits<float>::infinity();
    return true;
  }

 private:
  ILogger& log_;
  std::map<std::string, float*> tensors_;
};

class Engine final : public ICudaEngine {
 public:
  Engine(ILogger& log, int channels) : log_(log), channels_(channels) {}
  Dims getTensorShape(const char* name) const noexcept override {
    return {4, {1, std::strcmp(name, "output") ? 1 : channels_, 40, 40}};
  }
  DataType getTensorDataType(const char*) const noexcept override { return DataType::kFLOAT; }
  TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    if (!std::strcmp(name, "output")) return TensorIOMode::kOUTPUT;
    const bool input = !std::strcmp(name, "fixed") || !std::strcmp(name, "moving");
    return input ? TensorIOMode::kINPUT : TensorIOMode::kNONE;
  }
  std::int32_t getNbIOTensors() const noexcept override { return 3; }
  IExecutionContext* createExecutionContext() noexcept override { return usable() ? new Context(log_) : nullptr; }

 private:
  ILogger& log_;
  const int channels_;
};

class Runtime final : public IRuntime {
 public:
  explicit Runtime(ILogger& log) : log_(log) {}
  ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept override {
    const std::string plan(static_cast<const char*>(blob), size);
    if (plan == "plan of 2 channels") return new Engine(log_, 2);
    if (plan == "plan of 3 channels") return new Engine(log_, 3);
    log_.log(ILogger::Severity::kWARNING, "not the reason");
    log_.log(ILogger::Severity::kERROR, "this is no engine file");
    return nullptr;
  }

 private:
  ILogger& log_;
};

}  // namespace

EXPORTED StandIn* mmreg_stand_in() { return &state; }
EXPORTED int getInferLibVersion() { return NV_TENSORRT_VERSION; }
EXPORTED void* createInferRuntime_INTERNAL(void* log, std::int32_t version) {
  return version == NV_TENSORRT_VERSION ? new Runtime(*static_cast<ILogger*>(log)) : nullptr;
}

EXPORTED int cuInit(unsigned) { return 0; }
EXPORTED int cuDeviceGet(int* device, int) { return *device = 5, 0; }
EXPORTED int cuDevicePrimaryCtxRetain(int** context, int) { return *context = &primary, 0; }
EXPORTED int cuDevicePrimaryCtxRelease_v2(int device) { return device == 5 ? 0 : kInvalidContext; }
EXPORTED int cuCtxSetCurrent(void* context) { return current = context, 0; }
EXPORTED int cuGetErrorName(int status, const char** name) {
  *name = status == kOutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_INVALID_CONTEXT";
  return 0;
}
EXPORTED int cuMemAlloc_v2(Address* address, std::size_t bytes) {
  if (!usable()) return kInvalidContext;
  if (state.behaviour == StandIn::failing) return kOutOfMemory;
  ++state.blocks;
  *address = reinterpret_cast<Address>(new char[bytes]) + kOfDevice;
  return 0;
}
EXPORTED int cuMemFree_v2(Address address) {
  if (!usable()) return kInvalidContext;
  --state.blocks;
  delete[] reinterpret_cast<char*>(memory_of(address));
  return 0;
}
EXPORTED int cuStreamCreate(CUstream_st** stream, unsigned) {
  if (!usable()) return kInvalidContext;
  ++state.streams;
  return *stream = new CUstream_st, 0;
}
EXPORTED int cuStreamDestroy_v2(CUstream_st* stream) {
  --state.streams;
  delete stream;
  return 0;
}
EXPORTED int cuMemcpyHtoDAsync_v2(Address to, const void* from, std::size_t bytes, CUstream_st*) {
  return usable() ? std::memcpy(memory_of(to), from, bytes), 0 : kInvalidContext;
}
EXPORTED int cuMemcpyDtoHAsync_v2(void* to, Address from, std::size_t bytes, CUstream_st*) {
  return usable() ? std::memcpy(to, memory_of(from), bytes), 0 : kInvalidContext;
}
EXPORTED int cuStreamQuery(CUstream_st*) {
  const bool busy = state.behaviour == StandIn::slow || state.behaviour == StandIn::deaf;
  return usable() ? busy ? kNotReady : 0 : kInvalidContext;
}
