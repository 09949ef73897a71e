// OpenVINO on the CPU, with the settings of the Python package (backends/openvino).
#include <cstring>
#include <string>

#include "capi/engines/network.h"
#include "capi/engines/openvino_abi.h"
#include "capi/guard.h"

namespace mmreg::capi {
namespace {

using namespace openvino;

constexpr char kDevice[] = "CPU";

// An object of OpenVINO, and the function that frees it.
template <class Object>
class Owned {
 public:
  explicit Owned(void (*free)(Object*)) : free_(free) {}
  ~Owned() {
    if (object_) free_(object_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  operator Object*() const { return object_; }
  Object** out() { return &object_; }  // for the function that makes it

 private:
  void (*free_)(Object*);
  Object* object_ = nullptr;
};

std::string one_line(std::string text) {
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return text.substr(0, 400);
}

class OpenVino {
 public:
  explicit OpenVino(const std::string& folder)
      : library_(folder, "libopenvino_c.so"), api_(library_), core_(api_.free_core) {}

  const Api& api() const { return api_; }
  const std::string& path() const { return library_.path(); }
  const Core* core() const { return core_; }
  void start() { check_load(api_.create_core(core_.out()), "start"); }

  void check(Status status, const char* code, const char* action) const {
    if (status == 0) return;
    const char* const text = api_.last_error();
    const std::string reason = one_line(text ? text : "");
    if (text) api_.free_text(text);
    refuse(code, "OpenVINO could not %s (status %d): %s. Deploy the bundle again, or install OpenVINO again.", action,
           status, reason.c_str());
  }
  void check_load(Status status, const char* action) const { check(status, "MMREG_E_ENGINE_LOAD", action); }

  std::string version() const {  // without the commit after '-'
    Version version{};
    check(api_.get_version(&version), "MMREG_E_ENGINE_LIBRARY", "tell its version");
    const std::string number = version.build_number ? version.build_number : "";
    api_.free_version(&version);
    return number.substr(0, number.find('-'));
  }
  std::string taken(char* text) const {
    const std::string out = text ? text : "";
    api_.free_text(text);
    return out;
  }

 private:
  const Library library_;
  const Api api_;
  Owned<Core> core_;
};

// A tensor over memory that it does not own.
class TensorView {
 public:
  TensorView(const OpenVino& engine, unsigned type, const std::vector<std::int64_t>& lengths, void* memory)
      : tensor_(engine.api().free_tensor) {
    Shape shape{};
    engine.check_load(engine.api().create_shape(std::int64_t(lengths.size()), lengths.data(), &shape), "make a shape");
    const Status status = engine.api().create_tensor(type, shape, memory, tensor_.out());
    engine.api().free_shape(&shape);
    engine.check_load(status, "make a tensor");
  }
  operator const Tensor*() const { return tensor_; }

 private:
  Owned<Tensor> tensor_;
};

class OpenVinoNetwork : public Network, public std::enable_shared_from_this<OpenVinoNetwork> {
 public:
  OpenVinoNetwork(const Manifest&, int stage, const Files&, const EngineHost&);
  std::unique_ptr<BoundNetwork> bind() const override;

  const OpenVino& engine() const { return engine_; }
  const Compiled* compiled() const { return compiled_; }
  const Manifest& manifest() const { return manifest_; }

 private:
  void compile(const std::string& xml, int threads);
  const char* arithmetic() const;

  const Manifest manifest_;
  OpenVino engine_;
  std::string weights_;  // which the compiled network may use
  Owned<Compiled> compiled_;
};

class BoundOpenVino : public BoundNetwork {
 public:
  explicit BoundOpenVino(std::shared_ptr<const OpenVinoNetwork> network)
      : BoundNetwork(network->manifest()), network_(std::move(network)), request_(api().free_request) {
    const OpenVino& engine = network_->engine();
    engine.check_load(api().create_request(network_->compiled(), request_.out()), "make a request");
    int k = 0;
    for (const char* name : input_names(network_->manifest())) {
      const TensorView image(engine, kFloat32, input_shape(network_->manifest()), input(k++));
      engine.check_load(api().set_tensor(request_, name, image), "bind an image");
    }
    const TensorView out(engine, kFloat32, output_shape(network_->manifest()), output());
    engine.check_load(api().set_output(request_, 0, out), "bind the output");
  }

  void run() override {
    const OpenVino& engine = network_->engine();
    engine.check(api().start(request_), "MMREG_E_ENGINE_RUN", "start the network");
    engine.check(api().wait(request_), "MMREG_E_ENGINE_RUN", "run the network");
  }
  void cancel() override { api().cancel(request_); }
  void uncancel() override {}

 private:
  const Api& api() const { return network_->engine().api(); }

  std::shared_ptr<const OpenVinoNetwork> network_;
  Owned<Request> request_;
};

OpenVinoNetwork::OpenVinoNetwork(const Manifest& manifest, int stage, const Files& files, const EngineHost& host)
    : manifest_(manifest),
      engine_(host.folder),
      weights_(files.at(network_file(stage, ".bin"))),
      compiled_(engine_.api().free_compiled) {
  library_ = engine_.path();
  version_ = engine_.version();
  check_machine(manifest_, *this);
  engine_.start();
  compile(files.at(network_file(stage, ".xml")), host.threads);
}

// OpenVINO chooses bf16 by itself where a CPU has it: the precision is always set. Half-precision files are computed in
// float32 where the CPU has no half arithmetic.
const char* OpenVinoNetwork::arithmetic() const {
  if (manifest_.precision == Precision::bf16) return "bf16";
  if (manifest_.precision != Precision::fp16) return "f32";
  char* text = nullptr;
  engine_.check_load(engine_.api().core_property(engine_.core(), kDevice, "OPTIMIZATION_CAPABILITIES", &text),
                     "tell what the CPU can");
  return engine_.taken(text).find("FP16") == std::string::npos ? "f32" : "f16";
}

void OpenVinoNetwork::compile(const std::string& xml, int threads) {
  const Api& api = engine_.api();
  const TensorView weights(engine_, kByte, {std::int64_t(weights_.size())}, weights_.data());
  Owned<Model> model(api.free_model);
  engine_.check_load(api.read_model(engine_.core(), xml.c_str(), xml.size(), weights, model.out()), "read the network");
  const char* const precision = arithmetic();
  // Pinned threads of two processes would share the same cores, and the calling thread would be pinned too.
  engine_.check_load(api.compile(engine_.core(), model, kDevice, 10, compiled_.out(), "PERFORMANCE_HINT", "LATENCY",
                                 "NUM_STREAMS", "1", "INFERENCE_NUM_THREADS", std::to_string(threads).c_str(),
                                 "ENABLE_CPU_PINNING", "NO", "INFERENCE_PRECISION_HINT", precision),
                     "compile the network");
  char* text = nullptr;
  engine_.check_load(api.compiled_property(compiled_, "INFERENCE_PRECISION_HINT", &text), "tell its precision");
  const std::string compiled = engine_.taken(text);
  if (compiled != precision)
    refuse("MMREG_E_ENGINE_LOAD",
           "OpenVINO compiled the network in '%.40s'; the deployment needs '%s'. Deploy the "
           "bundle on this machine.",
           compiled.c_str(), precision);
}

std::unique_ptr<BoundNetwork> OpenVinoNetwork::bind() const {
  return std::make_unique<BoundOpenVino>(shared_from_this());
}

}  // namespace

std::shared_ptr<const Network> load_openvino(const Manifest& manifest, int stage, const Files& files,
                                             const EngineHost& host) {
  return std::make_shared<OpenVinoNetwork>(manifest, stage, files, host);
}

}  // namespace mmreg::capi
