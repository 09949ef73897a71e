// A network as an engine runs it. Engines are libraries of the host: they are loaded while the program runs, and
// nothing is linked to them.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "capi/deployment/manifest.h"

namespace mmreg::capi {

// A network with memory for its images and its output. One thread at a time runs it.
class BoundNetwork {
 public:
  BoundNetwork(const Manifest&);
  virtual ~BoundNetwork() = default;

  virtual void run() = 0;       // throws a CodedError
  virtual void cancel() = 0;    // by another thread: run() ends soon, with or without an output
  virtual void uncancel() = 0;  // before a run

  float* input(int k) { return images_[std::size_t(k)].data(); }
  float* output() { return output_.data(); }
  std::size_t image_size() const { return images_[0].size(); }
  std::size_t output_size() const { return output_.size(); }

 private:
  std::vector<std::vector<float>> images_;
  std::vector<float> output_;
};

// A network, compiled for its static shape. Any thread may bind it.
class Network {
 public:
  virtual ~Network() = default;
  virtual std::unique_ptr<BoundNetwork> bind() const = 0;  // which keeps this network alive
  const std::string& library() const { return library_; }  // its path
  const std::string& version() const { return version_; }

 protected:
  std::string library_, version_;
};

std::vector<const char*> input_names(const Manifest&);
constexpr char kOutputName[] = "output";
std::vector<std::int64_t> input_shape(const Manifest&);   // (1, 1, D, H, W), for slices (1, 1, H, W)
std::vector<std::int64_t> output_shape(const Manifest&);  // likewise, or (1, 6) for a motion

using Files = std::map<std::string, std::string>;  // contents by name

// Where the engine's library is and how it runs.
struct EngineHost {
  std::string folder;  // of the library; "": that of libmmreg
  int threads = 1;
};

// The networks of a deployment in the order in which they run.
using Networks = std::vector<std::shared_ptr<const Network>>;

Networks load_networks(const Manifest&, const Files&, const EngineHost&);  // throws a CodedError
std::shared_ptr<const Network> load_openvino(const Manifest&, int stage, const Files&, const EngineHost&);
std::shared_ptr<const Network> load_tensorrt(const Manifest&, int stage, const Files&, const EngineHost&);
std::shared_ptr<const Network> load_onnxruntime(const Manifest&, int stage, const Files&, const EngineHost&);

// Throws unless library and CPU are those that the deployment was made with.
void check_machine(const Manifest&, const Network&);

}  // namespace mmreg::capi
