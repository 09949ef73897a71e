// ONNX Runtime on the CPU, with the settings of the Python package (backends/onnxruntime.py).
#include <string>

#include "capi/engines/library.h"
#include "capi/engines/network.h"
#include "capi/engines/onnxruntime_abi.h"
#include "capi/guard.h"

namespace mmreg::capi {
namespace {

using namespace onnxruntime;

// An object of ONNX Runtime, and the function of the table that releases it.
template <class Object>
class Owned {
 public:
  template <int place>
  Owned(const Api* api, Function<place, void, Object*>)
      : release_(reinterpret_cast<void (*)(Object*)>(api->functions[place])) {}
  ~Owned() {
    if (object_) release_(object_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  operator Object*() const { return object_; }
  Object** out() { return &object_; }  // for the function that makes it

 private:
  void (*release_)(Object*);
  Object* object_ = nullptr;
};

class OnnxRuntime {
 public:
  explicit OnnxRuntime(const std::string& folder) : library_(folder, "libonnxruntime.so") {
    const ApiBase* (*base)() = nullptr;
    library_.find(base, "OrtGetApiBase");
    version_ = base()->version();
    api_ = base()->get(kApiVersion);
    if (!api_)
      refuse("MMREG_E_ENGINE_LIBRARY", "'%.300s' is ONNX Runtime %.40s; version 1.17 or later is needed.",
             library_.path().c_str(), version_.c_str());
  }

  const Api* api() const { return api_; }
  const std::string& path() const { return library_.path(); }
  const std::string& version() const { return version_; }

  void check(Status* status, const char* code, const char* action) const {
    if (!status) return;
    std::string reason = error_message(api_, status);
    release_status(api_, status);
    for (char& c : reason)
      if (c == '\n' || c == '\r') c = ' ';
    refuse(code, "ONNX Runtime could not %s: %.400s. Deploy the bundle again, or install ONNX Runtime again.", action,
           reason.c_str());
  }
  void check_load(Status* status, const char* action) const { check(status, "MMREG_E_ENGINE_LOAD", action); }

 private:
  const Library library_;
  std::string version_;
  const Api* api_ = nullptr;
};

class OnnxRuntimeNetwork : public Network, public std::enable_shared_from_this<OnnxRuntimeNetwork> {
 public:
  OnnxRuntimeNetwork(const Manifest&, int stage, const Files&, const EngineHost&);
  std::unique_ptr<BoundNetwork> bind() const override;

  const OnnxRuntime& engine() const { return engine_; }
  onnxruntime::Session* session() const { return session_; }
  const Manifest& manifest() const { return manifest_; }

 private:
  void set_options(SessionOptions*, int threads) const;

  const Manifest manifest_;
  const OnnxRuntime engine_;
  Owned<Environment> environment_;
  Owned<onnxruntime::Session> session_;
};

class BoundOnnxRuntime : public BoundNetwork {
 public:
  explicit BoundOnnxRuntime(std::shared_ptr<const OnnxRuntimeNetwork> network)
      : BoundNetwork(network->manifest()),
        network_(std::move(network)),
        names_(input_names(network_->manifest())),
        first_(api(), release_value),
        second_(api(), release_value),
        output_(api(), release_value),
        options_(api(), release_run_options) {
    const OnnxRuntime& engine = network_->engine();
    engine.check_load(create_run_options(api(), options_.out()), "make options");
    Owned<Value>* const images[] = {&first_, &second_};
    for (std::size_t k = 0; k < names_.size(); ++k)
      *images[k]->out() = tensor(input(int(k)), image_size(), input_shape(network_->manifest()));
    *output_.out() = tensor(output(), output_size(), output_shape(network_->manifest()));
  }

  void run() override {
    const Value* const images[] = {first_, second_};
    const char* const names[] = {kOutputName};
    Value* outputs[] = {output_};
    network_->engine().check(
        onnxruntime::run(api(), network_->session(), options_, names_.data(), images, names_.size(), names, 1, outputs),
        "MMREG_E_ENGINE_RUN", "run the network");
  }
  void cancel() override { done(terminate(api(), options_)); }
  void uncancel() override { done(unterminate(api(), options_)); }

 private:
  const Api* api() const { return network_->engine().api(); }
  void done(Status* status) const {
    if (status) release_status(api(), status);
  }

  // Over memory of this object.
  Value* tensor(float* memory, std::size_t count, const std::vector<std::int64_t>& shape) const {
    const OnnxRuntime& engine = network_->engine();
    Owned<MemoryInfo> host(api(), release_memory_info);
    engine.check_load(create_cpu_memory_info(api(), kArenaAllocator, kDefaultMemory, host.out()), "name its memory");
    Value* out = nullptr;
    engine.check_load(
        create_tensor(api(), host, memory, count * sizeof(float), shape.data(), shape.size(), kFloat32, &out),
        "make a tensor");
    return out;
  }

  std::shared_ptr<const OnnxRuntimeNetwork> network_;
  const std::vector<const char*> names_;
  Owned<Value> first_, second_, output_;
  Owned<RunOptions> options_;
};

OnnxRuntimeNetwork::OnnxRuntimeNetwork(const Manifest& manifest, int stage, const Files& files, const EngineHost& host)
    : manifest_(manifest),
      engine_(host.folder),
      environment_(engine_.api(), release_environment),
      session_(engine_.api(), release_session) {
  library_ = engine_.path();
  version_ = engine_.version();
  check_machine(manifest_, *this);
  const Api* const api = engine_.api();
  engine_.check_load(create_environment(api, kSilent, "mmreg", environment_.out()), "start");
  engine_.check_load(disable_telemetry(api, environment_), "switch off its telemetry");
  Owned<SessionOptions> options(api, release_session_options);
  engine_.check_load(create_session_options(api, options.out()), "make options");
  set_options(options, host.threads);
  const std::string& model = files.at(network_file(stage, ".onnx"));
  engine_.check_load(create_session(api, environment_, model.data(), model.size(), options, session_.out()),
                     "load the network");
}

void OnnxRuntimeNetwork::set_options(SessionOptions* options, int threads) const {
  const Api* const api = engine_.api();
  const auto check = [this](Status* status) { engine_.check_load(status, "set its options"); };
  check(set_threads(api, options, threads));
  check(set_threads_between(api, options, 1));
  check(set_log_level(api, options, kSilent));
  check(set_deterministic_compute(api, options, true));
  // Waiting threads sleep: between two runs the field operations use the same cores.
  check(add_config_entry(api, options, "session.intra_op.allow_spinning", "0"));
  // 8-bit weights as unsigned numbers: without VNNI, sums of two signed products saturate in 16 bits.
  check(add_config_entry(api, options, "session.x64quantprecision", "1"));
}

std::unique_ptr<BoundNetwork> OnnxRuntimeNetwork::bind() const {
  return std::make_unique<BoundOnnxRuntime>(shared_from_this());
}

}  // namespace

std::shared_ptr<const Network> load_onnxruntime(const Manifest& manifest, int stage, const Files& files,
                                                const EngineHost& host) {
  return std::make_shared<OnnxRuntimeNetwork>(manifest, stage, files, host);
}

}  // namespace mmreg::capi
