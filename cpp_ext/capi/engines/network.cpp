#include "capi/engines/network.h"

#include <array>

#include "capi/deployment/cpu_features.h"
#include "capi/guard.h"

namespace mmreg::capi {
namespace {

std::vector<std::int64_t> shape_of(const Manifest& manifest, int channels, Extent n) {
  std::vector<std::int64_t> out = {1, channels};
  if (manifest.dims == 3) out.push_back(n.d);
  out.insert(out.end(), {n.h, n.w});
  return out;
}

}  // namespace

BoundNetwork::BoundNetwork(const Manifest& manifest)
    : images_(std::size_t(manifest.inputs()), std::vector<float>(std::size_t(voxels(manifest.network_shape)))),
      output_(std::size_t(manifest.outputs())) {}

std::vector<const char*> input_names(const Manifest& manifest) {
  if (manifest.inputs() == 1) return {"image"};
  return {"fixed", "moving"};
}

std::vector<std::int64_t> input_shape(const Manifest& manifest) {
  return shape_of(manifest, 1, manifest.network_shape);
}

std::vector<std::int64_t> output_shape(const Manifest& manifest) {
  if (manifest.is_rigid()) return {1, kNumbersOfMotion};
  return shape_of(manifest, manifest.channels(), manifest.output_extent());
}

Networks load_networks(const Manifest& manifest, const Files& files, const EngineHost& host) {
  const auto load = std::array{load_openvino, load_onnxruntime, load_tensorrt}[std::size_t(manifest.engine)];
  Networks out;
  for (int stage = 0; stage < manifest.stages; ++stage) out.push_back(load(manifest, stage, files, host));
  return out;
}

void check_machine(const Manifest& manifest, const Network& network) {
  if (network.version() != manifest.engine_version)
    refuse("MMREG_E_DEPLOYMENT_ENGINE_VERSION",
           "The deployment was made with version %s of its engine; '%.200s' is version %.60s. Install the version that "
           "it needs, or deploy the bundle again.",
           manifest.engine_version.c_str(), network.library().c_str(), network.version().c_str());
  check_cpu(manifest.cpu);
}

}  // namespace mmreg::capi
