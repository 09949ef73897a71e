// TensorRT on the first NVIDIA GPU: an engine file (a plan) that was built for it. Compiled where its headers are given
// (MMREG_TENSORRT_INCLUDE); the library is loaded while the program runs. It was tested with a stand-in for TensorRT
// and for the CUDA driver: no GPU has run it.
#include <NvInferRuntime.h>

#include <chrono>
#include <mutex>
#include <string>
#include <thread>

#include "capi/engines/cuda_driver.h"
#include "capi/engines/network.h"
#include "capi/guard.h"

namespace mmreg::capi {
namespace {

constexpr auto kPoll = std::chrono::microseconds(50);

// Keeps the last error of TensorRT, whose functions only say that they failed.
class Log final : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* text) noexcept override {
    if (severity > Severity::kERROR) return;
    const std::lock_guard<std::mutex> hold(mutex_);
    last_.assign(text ? text : "", 0, 400);
    for (char& c : last_)
      if (c == '\n' || c == '\r') c = ' ';
  }
  std::string last() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return last_.empty() ? "no reason given" : last_;
  }

 private:
  mutable std::mutex mutex_;
  std::string last_;
};

class TensorRt {
 public:
  explicit TensorRt(const std::string& folder) : library_(folder, "libnvinfer.so"), driver_(folder) {
    int (*version)() = nullptr;
    library_.find(version, "getInferLibVersion");
    library_.find(create_, "createInferRuntime_INTERNAL");
    const int number = version();
    version_ =
        std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." + std::to_string(number % 100);
    if (number / 10000 != NV_TENSORRT_MAJOR)
      refuse(
          "MMREG_E_ENGINE_LIBRARY",
          "'%.300s' is TensorRT %s, and libmmreg was built with the headers of TensorRT %d. Install that version, or "
          "build libmmreg with the headers of this one.",
          path().c_str(), version_.c_str(), NV_TENSORRT_MAJOR);
  }

  const std::string& path() const { return library_.path(); }
  const std::string& version() const { return version_; }
  const cuda::Driver& driver() const { return driver_; }

  std::unique_ptr<nvinfer1::IRuntime> runtime() {
    return made(static_cast<nvinfer1::IRuntime*>(create_(&log_, NV_TENSORRT_VERSION)), "start");
  }
  template <class Object>
  std::unique_ptr<Object> made(Object* object, const char* action) const {
    check(object, "MMREG_E_ENGINE_LOAD", action);
    return std::unique_ptr<Object>(object);
  }
  void check(bool done, const char* code, const char* action) const {
    if (!done)
      refuse(code, "TensorRT could not %s: %s. Build the engine file on this machine, with this version.", action,
             log_.last().c_str());
  }

 private:
  const Library library_;
  const cuda::Driver driver_;
  void* (*create_)(void* log, std::int32_t version) = nullptr;
  std::string version_;
  Log log_;
};

class TensorRtNetwork : public Network, public std::enable_shared_from_this<TensorRtNetwork> {
 public:
  TensorRtNetwork(const Manifest&, int stage, const Files&, const EngineHost&);
  ~TensorRtNetwork() override;
  std::unique_ptr<BoundNetwork> bind() const override;

  const TensorRt& engine() const { return engine_; }
  const Manifest& manifest() const { return manifest_; }
  std::unique_ptr<nvinfer1::IExecutionContext> context() const {
    return engine_.made(plan_->createExecutionContext(), "make an execution context");
  }

 private:
  void check_tensor(const char* name, const std::vector<std::int64_t>& shape, nvinfer1::TensorIOMode) const;

  const Manifest manifest_;
  TensorRt engine_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> plan_;
};

// Uses the device while it is made, so that the members after it can.
struct DeviceInUse {
  explicit DeviceInUse(const cuda::Driver& driver) { driver.use(); }
};

class BoundTensorRt : public BoundNetwork {
 public:
  explicit BoundTensorRt(std::shared_ptr<const TensorRtNetwork> network)
      : BoundNetwork(network->manifest()),
        network_(std::move(network)),
        in_use_(driver()),
        context_(network_->context()),
        stream_(driver()),
        output_on_device_(driver(), bytes(output_size())) {
    for (const char* name : input_names(network_->manifest())) {
      images_.push_back(std::make_unique<cuda::Memory>(driver(), bytes(image_size())));
      bind(name, images_.back()->pointer());
    }
    bind(kOutputName, output_on_device_.pointer());
  }
  ~BoundTensorRt() override { driver().use(); }  // for the destructors of the members

  void run() override {
    driver().use();
    for (std::size_t k = 0; k < images_.size(); ++k)
      driver().upload(images_[k]->address(), input(int(k)), bytes(image_size()), stream_);
    network_->engine().check(context_->enqueueV3(stream_), "MMREG_E_ENGINE_RUN", "start the network");
    driver().download(output(), output_on_device_.address(), bytes(output_size()), stream_);
    while (!driver().finished(stream_)) std::this_thread::sleep_for(kPoll);
  }
  // A GPU cannot be stopped: the run ends when it is done, or counts as hung.
  void cancel() override {}
  void uncancel() override {}

 private:
  static std::size_t bytes(std::size_t count) { return count * sizeof(float); }
  const cuda::Driver& driver() const { return network_->engine().driver(); }
  void bind(const char* name, void* memory) const {
    network_->engine().check(context_->setTensorAddress(name, memory), "MMREG_E_ENGINE_LOAD", "bind a tensor");
  }

  std::shared_ptr<const TensorRtNetwork> network_;
  const DeviceInUse in_use_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  const cuda::OwnedStream stream_;
  const cuda::Memory output_on_device_;
  std::vector<std::unique_ptr<cuda::Memory>> images_;
};

TensorRtNetwork::TensorRtNetwork(const Manifest& manifest, int stage, const Files& files, const EngineHost& host)
    : manifest_(manifest), engine_(host.folder) {
  library_ = engine_.path();
  version_ = engine_.version();
  check_machine(manifest_, *this);
  engine_.driver().use();
  runtime_ = engine_.runtime();
  const std::string& plan = files.at(network_file(stage, ".plan"));
  plan_ = engine_.made(runtime_->deserializeCudaEngine(plan.data(), plan.size()), "load the engine file");
  for (const char* name : input_names(manifest_))
    check_tensor(name, input_shape(manifest_), nvinfer1::TensorIOMode::kINPUT);
  check_tensor(kOutputName, output_shape(manifest_), nvinfer1::TensorIOMode::kOUTPUT);
  if (plan_->getNbIOTensors() != manifest_.inputs() + 1)
    refuse("MMREG_E_ENGINE_LOAD", "The engine file has %d inputs and outputs; it must have %d. Build it again.",
           plan_->getNbIOTensors(), manifest_.inputs() + 1);
}

TensorRtNetwork::~TensorRtNetwork() {
  engine_.driver().use();
  plan_.reset();
  runtime_.reset();
}

void TensorRtNetwork::check_tensor(const char* name, const std::vector<std::int64_t>& shape,
                                   nvinfer1::TensorIOMode mode) const {
  const nvinfer1::Dims found = plan_->getTensorShape(name);
  bool fits = plan_->getTensorIOMode(name) == mode && plan_->getTensorDataType(name) == nvinfer1::DataType::kFLOAT &&
              found.nbDims == int(shape.size());
  for (std::size_t a = 0; fits && a < shape.size(); ++a) fits = found.d[a] == shape[a];
  if (!fits)
    refuse("MMREG_E_ENGINE_LOAD",
           "The engine file has no float32 tensor '%s' of the shape that deployment.txt gives. Build it again.", name);
}

std::unique_ptr<BoundNetwork> TensorRtNetwork::bind() const {
  return std::make_unique<BoundTensorRt>(shared_from_this());
}

}  // namespace

std::shared_ptr<const Network> load_tensorrt(const Manifest& manifest, int stage, const Files& files,
                                             const EngineHost& host) {
  return std::make_shared<TensorRtNetwork>(manifest, stage, files, host);
}

}  // namespace mmreg::capi
